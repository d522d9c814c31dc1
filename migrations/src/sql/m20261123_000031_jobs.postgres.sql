-- Work on many devices. `realm` says whose ids they are: 'hub' is the service API's.
create table job (
    tenant int4 not null references tenant (key),
    realm text collate "C" not null,
    id text collate "C" not null,
    kind text not null,
    document jsonb not null,
    status text not null,
    failure text,
    listed_after text collate "C", -- the last device that was looked at while its devices are listed
    listed bool not null, -- all its devices are in job_device
    created_ms int8 not null,
    starts_ms int8 not null,
    started_ms int8,
    ended_ms int8,
    due_ms int8, -- when a worker takes it (again); null: it is over
    primary key (tenant, realm, id)
);
create index job_due on job (due_ms) where due_ms is not null; -- jobs::claim_due
create index job_ended on job (ended_ms) where ended_ms is not null; -- jobs::purge

create table job_device (
    tenant int4 not null,
    realm text collate "C" not null,
    job text collate "C" not null,
    device text collate "C" not null,
    status text not null,
    result jsonb,
    started_ms int8,
    changed_ms int8 not null,
    ended_ms int8,
    primary key (tenant, realm, job, device),
    foreign key (tenant, realm, job) references job (tenant, realm, id) on delete cascade
);
create index job_device_pending on job_device (tenant, realm, job, device) where status = 'pending'; -- jobs::pending

-- What a service wants of all devices that a condition holds for.
create table configuration (
    tenant int4 not null references tenant (key),
    id text collate "C" not null,
    document jsonb not null,
    results jsonb not null, -- the last counts of its metrics
    version int8 not null,
    created_ms int8 not null,
    updated_ms int8 not null,
    primary key (tenant, id)
);

-- When the tenant's configurations are applied again.
create table configuration_round (
    tenant int4 primary key references tenant (key),
    due_ms int8 not null
);

-- The configurations that are applied to the twin, by id.
alter table twin add column configurations jsonb not null default '{}';

do $$
declare name text;
begin
    foreach name in array array['job', 'job_device', 'configuration', 'configuration_round'] loop
        execute format('alter table %I enable row level security', name);
        execute format('create policy tenant_scope on %I to muster_tenant using (tenant = (select current_setting(''muster.tenant'')::int4))', name);
        execute format('grant select, insert, update, delete on %I to muster_tenant', name);
    end loop;
end $$;
