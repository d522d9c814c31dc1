-- What a tenant's hub has counted since the tenant was made, by name.
create table tenant_counter (
    tenant int4 not null references tenant (key),
    name text collate "C" not null,
    value int8 not null,
    primary key (tenant, name)
) with (fillfactor = 50);

-- A tenant's state at a full minute: {"name": value}.
create table health_sample (
    tenant int4 not null references tenant (key),
    at_ms int8 not null,
    document jsonb not null,
    primary key (tenant, at_ms) -- health::list
);
create index health_sample_at on health_sample (at_ms); -- health::purge

do $$
declare name text;
begin
    foreach name in array array['tenant_counter', 'health_sample'] loop
        execute format('alter table %I enable row level security', name);
        execute format('create policy tenant_scope on %I to muster_tenant using (tenant = (select current_setting(''muster.tenant'')::int4))', name);
        execute format('grant select on %I to muster_tenant', name);
    end loop;
end $$;
