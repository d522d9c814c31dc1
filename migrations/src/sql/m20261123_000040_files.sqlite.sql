-- Uploads that devices have been granted and that are not finished.
create table file_upload (
    id blob primary key not null,
    device integer not null references device (key) on delete cascade,
    name text not null,
    created_ms integer not null,
    expires_ms integer not null
);
create index file_upload_device on file_upload (device, expires_ms); -- files::insert_upload
create index file_upload_expires on file_upload (expires_ms); -- files::purge_uploads

-- Everything that is or may be in the object storage: written down before its first byte is, and removed after its
-- last one, so that nothing there is forgotten. It outlives its device for that reason. Doomed is what nobody needs
-- from that time on: what is being written and blocks that wait for their list are doomed from the start.
create table file_object (
    id blob primary key not null,
    device integer not null,
    size_bytes integer not null,
    upload blob,
    block_id text,
    file blob,
    position integer,
    doomed_ms integer
);
create index file_object_device on file_object (device, size_bytes); -- files::usage
create index file_object_upload on file_object (upload, block_id); -- files::blocks, files::stage
create index file_object_file on file_object (file, position); -- files::parts
create index file_object_doomed on file_object (doomed_ms); -- files::doomed

-- Files of devices. The bytes are those of the objects of this id, in their order.
create table device_file (
    device integer not null references device (key) on delete cascade,
    name text not null,
    id blob not null,
    size_bytes integer not null,
    content_type text not null,
    created_ms integer not null,
    modified_ms integer not null,
    primary key (device, name)
);

-- Finished uploads that services have not heard of.
create table file_notice (
    tenant integer not null references tenant (key),
    id blob not null,
    device_id text not null,
    name text not null,
    size_bytes integer not null,
    modified_ms integer not null,
    at_ms integer not null,
    lock_token blob,
    locked_until_ms integer,
    primary key (tenant, id)
);
create index file_notice_at on file_notice (at_ms); -- files::purge_notices
