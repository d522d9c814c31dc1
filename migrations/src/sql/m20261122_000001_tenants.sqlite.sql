create table tenant (
    key integer primary key autoincrement,
    id text not null unique,
    name text not null,
    id_scope text not null unique,
    hub_name text not null,
    settings text not null,
    created_ms integer not null
);

create table "user" (
    id text primary key not null,
    email text not null unique, -- lower case
    display_name text not null,
    password_hash text not null,
    created_ms integer not null
);

create table membership (
    tenant integer not null references tenant (key),
    user_id text not null references "user" (id) on delete cascade,
    role blob not null,
    added_ms integer not null,
    primary key (tenant, user_id)
) without rowid;
create index membership_user on membership (user_id); -- users::memberships

create table session (
    token_hash blob primary key not null,
    user_id text not null references "user" (id) on delete cascade,
    created_ms integer not null,
    expires_ms integer not null,
    last_seen_ms integer not null,
    user_agent text not null
);
create index session_of_user on session (user_id); -- sessions::delete_of_user
create index session_expires on session (expires_ms); -- sessions::purge_expired

create table sign_in_failure (
    subject text primary key not null, -- 'account:…' or 'address:…'
    failures integer not null,
    until_ms integer not null
);
create index sign_in_failure_until on sign_in_failure (until_ms); -- throttle::purge

create table api_token (
    tenant integer not null references tenant (key),
    id text not null,
    hash blob not null unique, -- tokens::find_by_hash
    role blob not null,
    created_ms integer not null,
    expires_ms integer,
    last_used_ms integer,
    primary key (tenant, id)
);

create table audit (
    id blob primary key not null,
    tenant integer not null references tenant (key),
    at_ms integer not null,
    actor_kind text not null,
    actor_id text not null,
    actor_name text not null,
    action text not null,
    kind text not null,
    object text not null,
    details text not null
);
create index audit_tenant on audit (tenant, id); -- audit::list
create index audit_object on audit (tenant, kind, object, id); -- audit::list, filtered

create table setting (
    name text primary key not null,
    value text not null
);
create table secret (
    name text primary key not null,
    encrypted blob not null,
    updated_ms integer not null
);
