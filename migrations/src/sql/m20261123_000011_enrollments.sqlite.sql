alter table enrollment_group add column settings text not null default '{}';
alter table enrollment_group add column updated_ms integer; -- null: not changed since it was made

create table enrollment (
    tenant integer not null references tenant (key),
    id text not null, -- the registration id, in lower case
    enabled boolean not null,
    attestation text not null,
    encrypted blob not null,
    settings text not null,
    version integer not null,
    created_ms integer not null,
    updated_ms integer not null,
    primary key (tenant, id)
);

create index dps_registration_group on dps_registration (tenant, enrollment_group, id); -- registrations::list_of_group
