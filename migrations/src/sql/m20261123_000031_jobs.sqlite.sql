-- Work on many devices. `realm` says whose ids they are: 'hub' is the service API's.
create table job (
    tenant integer not null references tenant (key),
    realm text not null,
    id text not null,
    kind text not null,
    document text not null,
    status text not null,
    failure text,
    listed_after text, -- the last device that was looked at while its devices are listed
    listed boolean not null, -- all its devices are in job_device
    created_ms integer not null,
    starts_ms integer not null,
    started_ms integer,
    ended_ms integer,
    due_ms integer, -- when a worker takes it (again); null: it is over
    primary key (tenant, realm, id)
);
create index job_due on job (due_ms) where due_ms is not null; -- jobs::claim_due
create index job_ended on job (ended_ms) where ended_ms is not null; -- jobs::purge

create table job_device (
    tenant integer not null,
    realm text not null,
    job text not null,
    device text not null,
    status text not null,
    result text,
    started_ms integer,
    changed_ms integer not null,
    ended_ms integer,
    primary key (tenant, realm, job, device),
    foreign key (tenant, realm, job) references job (tenant, realm, id) on delete cascade
);
create index job_device_pending on job_device (tenant, realm, job, device) where status = 'pending'; -- jobs::pending

-- What a service wants of all devices that a condition holds for.
create table configuration (
    tenant integer not null references tenant (key),
    id text not null,
    document text not null,
    results text not null, -- the last counts of its metrics
    version integer not null,
    created_ms integer not null,
    updated_ms integer not null,
    primary key (tenant, id)
);

-- When the tenant's configurations are applied again.
create table configuration_round (
    tenant integer primary key not null references tenant (key),
    due_ms integer not null
);

-- The configurations that are applied to the twin, by id.
alter table twin add column configurations text not null default '{}';
