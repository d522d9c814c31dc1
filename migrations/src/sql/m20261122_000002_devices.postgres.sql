create table template (
    tenant int4 not null references tenant (key),
    id text collate "C" not null,
    display_name text not null,
    document jsonb not null,
    version int8 not null,
    created_ms int8 not null,
    updated_ms int8 not null,
    primary key (tenant, id)
);

-- A device's key is (its tenant's key << 32) | a number of this sequence, and is never used again.
create sequence device_number as int8 maxvalue 4294967295;

create table device (
    key int8 primary key check (key >> 32 = tenant),
    tenant int4 not null references tenant (key),
    id text collate "C" not null,
    display_name text not null,
    template text collate "C",
    enabled bool not null,
    provisioned bool not null,
    simulated bool not null,
    version int8 not null,
    generation text not null,
    created_ms int8 not null,
    unique (tenant, id)
);
create index device_id on device (id); -- devices::candidates, over all tenants
create index device_template on device (tenant, template, id); -- devices::list and count of a template

create table device_credential (
    device int8 primary key references device (key) on delete cascade,
    encrypted bytea not null
);

create table twin (
    device int8 primary key references device (key) on delete cascade,
    desired jsonb not null,
    desired_version int8 not null,
    desired_metadata jsonb not null,
    reported jsonb not null,
    reported_version int8 not null,
    reported_metadata jsonb not null,
    tags jsonb not null,
    model_id text,
    version int8 not null
);

create table enrollment_group (
    tenant int4 not null references tenant (key),
    id text collate "C" not null,
    display_name text not null,
    enabled bool not null,
    kind text not null,
    attestation text not null,
    encrypted bytea not null,
    version int8 not null,
    created_ms int8 not null,
    primary key (tenant, id)
);

create table dps_registration (
    tenant int4 not null references tenant (key),
    id text collate "C" not null,
    device_id text collate "C" not null,
    enrollment_group text collate "C",
    payload jsonb,
    created_ms int8 not null,
    updated_ms int8 not null,
    primary key (tenant, id)
);

create index dps_registration_device on dps_registration (tenant, device_id); -- devices::delete

create table hub_instance (
    id text primary key,
    lease_ms int8 not null
);
create index hub_instance_lease on hub_instance (lease_ms); -- hub_sessions::expire

-- One row a device that ever connected; connected = it has an instance.
create table hub_session (
    device int8 primary key references device (key) on delete cascade,
    instance text,
    epoch int8 not null,
    taken_from text,
    connected_ms int8 not null,
    ended_ms int8
);
create index hub_session_instance on hub_session (instance) where instance is not null; -- hub_sessions::expire

create table hub_subscription (
    device int8 not null references device (key) on delete cascade,
    module text not null, -- '' = the device itself
    filters jsonb not null,
    primary key (device, module)
);

do $$
declare name text;
begin
    foreach name in array array['template', 'device', 'enrollment_group', 'dps_registration'] loop
        execute format('alter table %I enable row level security', name);
        execute format('create policy tenant_scope on %I to muster_tenant using (tenant = (select current_setting(''muster.tenant'')::int4))', name);
        execute format('grant select, insert, update, delete on %I to muster_tenant', name);
    end loop;
    foreach name in array array['device_credential', 'twin', 'hub_session', 'hub_subscription'] loop
        execute format('alter table %I enable row level security', name);
        execute format('create policy tenant_scope on %I to muster_tenant using (device >> 32 = (select current_setting(''muster.tenant'')::int8))', name);
        execute format('grant select, insert, update, delete on %I to muster_tenant', name);
    end loop;
end $$;
grant usage on sequence device_number to muster_tenant;
grant select on hub_instance to muster_tenant;
