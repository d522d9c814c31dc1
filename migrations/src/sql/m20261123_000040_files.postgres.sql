-- Uploads that devices have been granted and that are not finished.
create table file_upload (
    id uuid primary key,
    device int8 not null references device (key) on delete cascade,
    name text not null,
    created_ms int8 not null,
    expires_ms int8 not null
);
create index file_upload_device on file_upload (device, expires_ms); -- files::insert_upload
create index file_upload_expires on file_upload (expires_ms); -- files::purge_uploads

-- Everything that is or may be in the object storage: written down before its first byte is, and removed after its
-- last one, so that nothing there is forgotten. It outlives its device for that reason. Doomed is what nobody needs
-- from that time on: what is being written and blocks that wait for their list are doomed from the start.
create table file_object (
    id uuid primary key,
    device int8 not null,
    size_bytes int8 not null,
    upload uuid,
    block_id text collate "C",
    file uuid,
    position int4,
    doomed_ms int8
);
create index file_object_device on file_object (device, size_bytes); -- files::usage
create index file_object_upload on file_object (upload, block_id); -- files::blocks, files::stage
create index file_object_file on file_object (file, position); -- files::parts
create index file_object_doomed on file_object (doomed_ms); -- files::doomed

-- Files of devices. The bytes are those of the objects of this id, in their order.
create table device_file (
    device int8 not null references device (key) on delete cascade,
    name text collate "C" not null,
    id uuid not null,
    size_bytes int8 not null,
    content_type text not null,
    created_ms int8 not null,
    modified_ms int8 not null,
    primary key (device, name)
);

-- Finished uploads that services have not heard of.
create table file_notice (
    tenant int4 not null references tenant (key),
    id uuid not null,
    device_id text not null,
    name text not null,
    size_bytes int8 not null,
    modified_ms int8 not null,
    at_ms int8 not null,
    lock_token uuid,
    locked_until_ms int8,
    primary key (tenant, id)
);
create index file_notice_at on file_notice (at_ms); -- files::purge_notices

do $$
declare name text;
begin
    foreach name in array array['file_upload', 'file_object', 'device_file'] loop
        execute format('alter table %I enable row level security', name);
        execute format('create policy tenant_scope on %I to muster_tenant using (device >> 32 = (select current_setting(''muster.tenant'')::int8))', name);
        execute format('grant select, insert, update, delete on %I to muster_tenant', name);
    end loop;
    alter table file_notice enable row level security;
    create policy tenant_scope on file_notice to muster_tenant using (tenant = (select current_setting('muster.tenant')::int4));
    grant select, insert, update, delete on file_notice to muster_tenant;
end $$;
