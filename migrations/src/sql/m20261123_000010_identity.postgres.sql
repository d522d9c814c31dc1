create table certificate_authority (
    tenant int4 not null references tenant (key),
    id text collate "C" not null,
    certificate bytea not null,
    verified bool not null,
    verification_code text,
    version int8 not null,
    created_ms int8 not null,
    primary key (tenant, id)
);

alter table certificate_authority enable row level security;
create policy tenant_scope on certificate_authority to muster_tenant
    using (tenant = (select current_setting('muster.tenant')::int4));
grant select, insert, update, delete on certificate_authority to muster_tenant;
