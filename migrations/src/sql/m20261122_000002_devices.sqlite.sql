create table template (
    tenant integer not null references tenant (key),
    id text not null,
    display_name text not null,
    document text not null,
    version integer not null,
    created_ms integer not null,
    updated_ms integer not null,
    primary key (tenant, id)
);

-- A device's key is (its tenant's key << 32) | the next number of this row, and is never used again.
create table device_number (last integer not null);
insert into device_number values (0);

create table device (
    key integer primary key not null check (key >> 32 = tenant),
    tenant integer not null references tenant (key),
    id text not null,
    display_name text not null,
    template text,
    enabled boolean not null,
    provisioned boolean not null,
    simulated boolean not null,
    version integer not null,
    generation text not null,
    created_ms integer not null,
    unique (tenant, id)
);
create index device_id on device (id); -- devices::candidates, over all tenants
create index device_template on device (tenant, template, id); -- devices::list and count of a template

create table device_credential (
    device integer primary key not null references device (key) on delete cascade,
    encrypted blob not null
);

create table twin (
    device integer primary key not null references device (key) on delete cascade,
    desired text not null,
    desired_version integer not null,
    desired_metadata text not null,
    reported text not null,
    reported_version integer not null,
    reported_metadata text not null,
    tags text not null,
    model_id text,
    version integer not null
);

create table enrollment_group (
    tenant integer not null references tenant (key),
    id text not null,
    display_name text not null,
    enabled boolean not null,
    kind text not null,
    attestation text not null,
    encrypted blob not null,
    version integer not null,
    created_ms integer not null,
    primary key (tenant, id)
);

create table dps_registration (
    tenant integer not null references tenant (key),
    id text not null,
    device_id text not null,
    enrollment_group text,
    payload text,
    created_ms integer not null,
    updated_ms integer not null,
    primary key (tenant, id)
);

create index dps_registration_device on dps_registration (tenant, device_id); -- devices::delete

create table hub_instance (
    id text primary key not null,
    lease_ms integer not null
);
create index hub_instance_lease on hub_instance (lease_ms); -- hub_sessions::expire

-- One row a device that ever connected; connected = it has an instance.
create table hub_session (
    device integer primary key not null references device (key) on delete cascade,
    instance text,
    epoch integer not null,
    taken_from text,
    connected_ms integer not null,
    ended_ms integer
);
create index hub_session_instance on hub_session (instance) where instance is not null; -- hub_sessions::expire

create table hub_subscription (
    device integer not null references device (key) on delete cascade,
    module text not null, -- '' = the device itself
    filters text not null,
    primary key (device, module)
) without rowid;
