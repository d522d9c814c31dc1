-- The number of a tenant's last event.
create table event_head (
    tenant integer primary key not null references tenant (key),
    last_seq integer not null
);

-- What services hear of. A row is one event, or a whole batch of telemetry whose messages are numbered up to seq.
create table event (
    tenant integer not null,
    seq integer not null, -- of the row's last message
    messages integer not null,
    at_ms integer not null,
    device text, -- absent: telemetry
    module text,
    operation text,
    document text,
    batch blob, -- telemetry: compressed
    primary key (tenant, seq) -- events::read
);
create index event_at on event (at_ms); -- events::purge
create index event_tenant on event (tenant, at_ms, seq) where device is not null; -- events::list
create index event_device on event (tenant, device, at_ms, seq) where device is not null; -- events::list of a device

-- What went wrong with devices, folded.
create table device_failure (
    tenant integer not null references tenant (key),
    device text not null,
    code text not null,
    id integer not null, -- random: the order of those of the same time
    failures integer not null,
    first_ms integer not null,
    last_ms integer not null,
    primary key (tenant, device, code)
);
create index device_failure_tenant on device_failure (tenant, last_ms, id); -- events::list
create index device_failure_last on device_failure (last_ms); -- failures::purge
