-- What a tenant's hub has counted since the tenant was made, by name.
create table tenant_counter (
    tenant integer not null references tenant (key),
    name text not null,
    value integer not null,
    primary key (tenant, name)
);

-- A tenant's state at a full minute: {"name": value}.
create table health_sample (
    tenant integer not null references tenant (key),
    at_ms integer not null,
    document text not null,
    primary key (tenant, at_ms) -- health::list
);
create index health_sample_at on health_sample (at_ms); -- health::purge
