alter table enrollment_group add column settings jsonb not null default '{}';
alter table enrollment_group add column updated_ms int8; -- null: not changed since it was made

create table enrollment (
    tenant int4 not null references tenant (key),
    id text collate "C" not null, -- the registration id, in lower case
    enabled bool not null,
    attestation text not null,
    encrypted bytea not null,
    settings jsonb not null,
    version int8 not null,
    created_ms int8 not null,
    updated_ms int8 not null,
    primary key (tenant, id)
);

alter table enrollment enable row level security;
create policy tenant_scope on enrollment to muster_tenant
    using (tenant = (select current_setting('muster.tenant')::int4));
grant select, insert, update, delete on enrollment to muster_tenant;

create index dps_registration_group on dps_registration (tenant, enrollment_group, id); -- registrations::list_of_group
