-- How the devices of a template are shown, and forms for their properties: documents that go with their template.
create table template_view (
    tenant integer not null references tenant (key),
    template text not null,
    id text not null,
    document text not null,
    version integer not null,
    primary key (tenant, template, id),
    foreign key (tenant, template) references template (tenant, id) on delete cascade
);
