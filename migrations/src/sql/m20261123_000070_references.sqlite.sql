-- Who names a template and which of its capabilities; each aggregate writes its own in its own transaction. Devices are
-- not among them: their column has an index.
create table reference (
    tenant integer not null references tenant (key),
    kind text not null, -- 'rule' or 'dashboard'
    id text not null,
    name text not null,
    template text not null,
    capability text not null, -- its path; '' = the template as such
    primary key (tenant, kind, id, template, capability)
);
create index reference_template on reference (tenant, template); -- references::of_template

insert into reference
select tenant, 'rule', substr(hex, 1, 8) || '-' || substr(hex, 9, 4) || '-' || substr(hex, 13, 4) || '-' || substr(hex, 17, 4)
       || '-' || substr(hex, 21), name, template, ''
  from (select tenant, lower(hex(id)) as hex, document->>'$.displayName' as name, template from rule);
insert or ignore into reference
select named.tenant, 'rule', named.id, named.name, named.template, item.value->>'$.telemetry'
  from rule, json_each(rule.document, '$.conditions') as item
  join reference as named on named.kind = 'rule' and named.tenant = rule.tenant and replace(named.id, '-', '') = lower(hex(rule.id))
 where named.capability = '';
insert or ignore into reference
select tenant, 'dashboard', dashboard.id, document->>'$.displayName',
       coalesce(tile.value->>'$.configuration.source.template', tile.value->>'$.configuration.template'), ''
  from dashboard, json_each(dashboard.document, '$.tiles') as tile
 where coalesce(tile.value->>'$.configuration.source.template', tile.value->>'$.configuration.template') is not null;
insert or ignore into reference
select tenant, 'dashboard', dashboard.id, document->>'$.displayName', tile.value->>'$.configuration.source.template', capability.value
  from dashboard, json_each(dashboard.document, '$.tiles') as tile,
       json_each(tile.value, '$.configuration.source.capabilities') as capability;
