-- How the devices of a template are shown, and forms for their properties: documents that go with their template.
create table template_view (
    tenant int4 not null references tenant (key),
    template text collate "C" not null,
    id text collate "C" not null,
    document jsonb not null,
    version int8 not null,
    primary key (tenant, template, id),
    foreign key (tenant, template) references template (tenant, id) on delete cascade
);

alter table template_view enable row level security;
create policy tenant_scope on template_view to muster_tenant using (tenant = (select current_setting('muster.tenant')::int4));
grant select, insert, update, delete on template_view to muster_tenant;
