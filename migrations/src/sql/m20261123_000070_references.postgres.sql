-- Who names a template and which of its capabilities; each aggregate writes its own in its own transaction. Devices are
-- not among them: their column has an index.
create table reference (
    tenant int4 not null references tenant (key),
    kind text collate "C" not null, -- 'rule' or 'dashboard'
    id text collate "C" not null,
    name text not null,
    template text collate "C" not null,
    capability text collate "C" not null, -- its path; '' = the template as such
    primary key (tenant, kind, id, template, capability)
);
create index reference_template on reference (tenant, template); -- references::of_template

insert into reference select tenant, 'rule', id::text, document->>'displayName', template, '' from rule;
insert into reference
select tenant, 'rule', id::text, document->>'displayName', template, item->>'telemetry'
  from rule, jsonb_array_elements(document->'conditions') as item
    on conflict do nothing;
insert into reference
select tenant, 'dashboard', id, document->>'displayName',
       coalesce(tile->'configuration'->'source'->>'template', tile->'configuration'->>'template'), ''
  from dashboard, jsonb_array_elements(document->'tiles') as tile
 where coalesce(tile->'configuration'->'source'->>'template', tile->'configuration'->>'template') is not null
    on conflict do nothing;
insert into reference
select tenant, 'dashboard', id, document->>'displayName', tile->'configuration'->'source'->>'template', capability
  from dashboard, jsonb_array_elements(document->'tiles') as tile,
       jsonb_array_elements_text(tile->'configuration'->'source'->'capabilities') as capability
    on conflict do nothing;

alter table reference enable row level security;
create policy tenant_scope on reference to muster_tenant using (tenant = (select current_setting('muster.tenant')::int4));
grant select, insert, update, delete on reference to muster_tenant;
