-- The number of a tenant's last event. Its row is locked from the moment numbers are taken until they are committed,
-- so numbers grow in the order of commits and no reader skips one.
create table event_head (
    tenant int4 primary key references tenant (key),
    last_seq int8 not null
) with (fillfactor = 50);

-- What services hear of. A row is one event, or a whole batch of telemetry whose messages are numbered up to seq.
create table event (
    tenant int4 not null,
    seq int8 not null, -- of the row's last message
    messages int4 not null,
    at_ms int8 not null,
    device text collate "C", -- absent: telemetry
    module text collate "C",
    operation text,
    document text,
    batch bytea, -- telemetry: compressed
    primary key (tenant, seq) -- events::read
);
create index event_at on event (at_ms); -- events::purge
create index event_tenant on event (tenant, at_ms, seq) where device is not null; -- events::list
create index event_device on event (tenant, device, at_ms, seq) where device is not null; -- events::list of a device

-- What went wrong with devices, folded.
create table device_failure (
    tenant int4 not null references tenant (key),
    device text collate "C" not null,
    code text collate "C" not null,
    id int8 not null, -- random: the order of those of the same time
    failures int8 not null,
    first_ms int8 not null,
    last_ms int8 not null,
    primary key (tenant, device, code)
);
create index device_failure_tenant on device_failure (tenant, last_ms, id); -- events::list
create index device_failure_last on device_failure (last_ms); -- failures::purge

do $$
declare name text;
begin
    foreach name in array array['event_head', 'event', 'device_failure'] loop
        execute format('alter table %I enable row level security', name);
        execute format('create policy tenant_scope on %I to muster_tenant using (tenant = (select current_setting(''muster.tenant'')::int4))', name);
    end loop;
end $$;
grant select, insert, update on event_head to muster_tenant;
grant select, insert on event to muster_tenant;
grant select on device_failure to muster_tenant;
