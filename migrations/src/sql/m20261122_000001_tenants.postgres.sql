-- The role that tenants' transactions take (`set local role`), so that row-level security applies to them. It belongs
-- to the whole cluster and may have been made by another database's migration, or by an administrator beforehand.
do $$
begin
    if not exists (select from pg_roles where rolname = 'muster_tenant') then
        begin
            create role muster_tenant nologin nobypassrls;
        exception
            when duplicate_object or unique_violation then null; -- another migration was faster
            when insufficient_privilege then
                raise exception 'user "%" may not create the role muster_tenant; let an administrator run once: create role muster_tenant nologin nobypassrls; grant muster_tenant to "%";', current_user, current_user;
        end;
    end if;
    if not pg_has_role(current_user, 'muster_tenant', 'member') then
        begin
            execute format('grant muster_tenant to %I', current_user);
        exception when insufficient_privilege then
            raise exception 'user "%" is no member of the role muster_tenant; let an administrator run once: grant muster_tenant to "%";', current_user, current_user;
        end;
    end if;
    execute format('grant usage on schema %I to muster_tenant', current_schema());
end $$;

create table tenant (
    key int4 generated always as identity primary key,
    id text collate "C" not null unique,
    name text not null,
    id_scope text collate "C" not null unique,
    hub_name text not null,
    settings jsonb not null,
    created_ms int8 not null
);

create table "user" (
    id text collate "C" primary key,
    email text collate "C" not null unique, -- lower case
    display_name text not null,
    password_hash text not null,
    created_ms int8 not null
);

create table membership (
    tenant int4 not null references tenant (key),
    user_id text collate "C" not null references "user" (id) on delete cascade,
    role uuid not null,
    added_ms int8 not null,
    primary key (tenant, user_id)
);
create index membership_user on membership (user_id); -- users::memberships

create table session (
    token_hash bytea primary key,
    user_id text collate "C" not null references "user" (id) on delete cascade,
    created_ms int8 not null,
    expires_ms int8 not null,
    last_seen_ms int8 not null,
    user_agent text not null
);
create index session_of_user on session (user_id); -- sessions::delete_of_user
create index session_expires on session (expires_ms); -- sessions::purge_expired

create table sign_in_failure (
    subject text primary key, -- 'account:…' or 'address:…'
    failures int8 not null,
    until_ms int8 not null
);
create index sign_in_failure_until on sign_in_failure (until_ms); -- throttle::purge

create table api_token (
    tenant int4 not null references tenant (key),
    id text collate "C" not null,
    hash bytea not null unique, -- tokens::find_by_hash
    role uuid not null,
    created_ms int8 not null,
    expires_ms int8,
    last_used_ms int8,
    primary key (tenant, id)
);

create table audit (
    id uuid primary key,
    tenant int4 not null references tenant (key),
    at_ms int8 not null,
    actor_kind text not null,
    actor_id text not null,
    actor_name text not null,
    action text not null,
    kind text not null,
    object text not null,
    details jsonb not null
);
create index audit_tenant on audit (tenant, id); -- audit::list
create index audit_object on audit (tenant, kind, object, id); -- audit::list, filtered

-- Of the whole installation: no tenant's transaction reaches these.
create table setting (
    name text primary key,
    value jsonb not null
);
create table secret (
    name text primary key,
    encrypted bytea not null,
    updated_ms int8 not null
);

alter table tenant enable row level security;
create policy tenant_scope on tenant to muster_tenant
    using (key = (select current_setting('muster.tenant')::int4));
grant select, update on tenant to muster_tenant;

alter table membership enable row level security;
create policy tenant_scope on membership to muster_tenant
    using (tenant = (select current_setting('muster.tenant')::int4));
grant select, insert, update, delete on membership to muster_tenant;

-- A tenant sees its members, and never what proves them.
alter table "user" enable row level security;
create policy tenant_scope on "user" for select to muster_tenant
    using (exists (select from membership where membership.user_id = "user".id));
grant select (id, email, display_name, created_ms) on "user" to muster_tenant;

alter table api_token enable row level security;
create policy tenant_scope on api_token to muster_tenant
    using (tenant = (select current_setting('muster.tenant')::int4));
grant select, insert, update, delete on api_token to muster_tenant;

-- The log grows only.
alter table audit enable row level security;
create policy tenant_scope on audit to muster_tenant
    using (tenant = (select current_setting('muster.tenant')::int4));
grant select, insert on audit to muster_tenant;
