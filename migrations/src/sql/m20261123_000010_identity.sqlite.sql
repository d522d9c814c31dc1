create table certificate_authority (
    tenant integer not null references tenant (key),
    id text not null,
    certificate blob not null,
    verified boolean not null,
    verification_code text,
    version integer not null,
    created_ms integer not null,
    primary key (tenant, id)
);
