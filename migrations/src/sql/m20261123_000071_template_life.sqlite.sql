-- A template that was never published keeps its draft as its document; the draft of a published one stands beside it.
alter table template add column published boolean not null default true;
alter table template add column draft text;

-- What was published when, by whom, and what it changed.
create table template_publication (
    tenant integer not null references tenant (key),
    template text not null,
    version integer not null,
    published_ms integer not null,
    published_by text not null,
    changes text not null,
    primary key (tenant, template, version),
    foreign key (tenant, template) references template (tenant, id) on delete cascade
);
insert into template_publication select tenant, id, version, updated_ms, '', '[]' from template;
