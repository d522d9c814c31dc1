-- A template that was never published keeps its draft as its document; the draft of a published one stands beside it.
alter table template add column published bool not null default true;
alter table template add column draft jsonb;

-- What was published when, by whom, and what it changed.
create table template_publication (
    tenant int4 not null references tenant (key),
    template text collate "C" not null,
    version int8 not null,
    published_ms int8 not null,
    published_by text not null,
    changes jsonb not null,
    primary key (tenant, template, version),
    foreign key (tenant, template) references template (tenant, id) on delete cascade
);
insert into template_publication select tenant, id, version, updated_ms, '', '[]' from template;

alter table template_publication enable row level security;
create policy tenant_scope on template_publication to muster_tenant using (tenant = (select current_setting('muster.tenant')::int4));
grant select, insert, update, delete on template_publication to muster_tenant;
