-- Schema 1. Times are UTC microseconds since 1970, uuids are 16 bytes. Never edited after release.

-- One row. Counters only grow, so that no number is ever used twice; they change in the transaction
-- that uses the numbers.
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    incarnation BLOB NOT NULL,        -- renewed by a restore; remote cursors carry it
    hash_key BLOB NOT NULL,           -- secret of the hashes in event_index, for the life of the file
    change_seq INTEGER NOT NULL,      -- last number of the change sequence
    person_seq INTEGER NOT NULL,
    distinct_id_seq INTEGER NOT NULL,
    part_seq INTEGER NOT NULL,        -- last part of event_index
    folded_seq INTEGER NOT NULL       -- rows of changes up to here are in their tables
);
INSERT INTO meta VALUES (1, randomblob(16), randomblob(16), 0, 0, 0, 0, 0);

CREATE TABLE teams (
    id INTEGER PRIMARY KEY,
    uuid BLOB NOT NULL,
    name TEXT NOT NULL,
    api_token TEXT NOT NULL UNIQUE,
    slack_incoming_webhook TEXT,
    bucket TEXT,
    class TEXT,
    organization TEXT,
    anonymize_ips INTEGER NOT NULL,
    session_recording_opt_in INTEGER NOT NULL,
    over_quota_events INTEGER NOT NULL,
    over_quota_recordings INTEGER NOT NULL,
    drop_ids TEXT NOT NULL,           -- JSON array of distinct ids
    extra TEXT NOT NULL               -- JSON object
);

CREATE TABLE objects (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;

-- Arrival order; id is the event's number in the change sequence. No other index on it: see event_index.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    team_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    is_uuid_checked INTEGER NOT NULL,
    uuid BLOB NOT NULL,
    person_uuid BLOB,
    event TEXT NOT NULL,
    distinct_id TEXT NOT NULL,
    group_0_key TEXT,
    group_1_key TEXT,
    group_2_key TEXT,
    group_3_key TEXT,
    group_4_key TEXT,
    elements_chain TEXT NOT NULL,
    properties TEXT NOT NULL
);

-- Filled in key order, part by part, some time after the events. kind: 1 distinct id, 2 uuid that takes
-- part in finding duplicates, 3 other uuid, 4 event name; distinct ids and names are hashed with the team.
CREATE TABLE event_index (
    part INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    hash INTEGER NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (part, kind, hash, id)
) WITHOUT ROWID;

CREATE TABLE event_parts (
    part INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,           -- 0 being written, 1 complete, 2 being removed
    first_id INTEGER NOT NULL,
    last_id INTEGER NOT NULL,
    first_at INTEGER NOT NULL,        -- arrival of the oldest event
    last_at INTEGER NOT NULL,
    event_count INTEGER NOT NULL
);

-- The change log: the whole new state of a person (kind 1), distinct id (2) or group (3). object_id: person id,
-- row id of the distinct id, index of the group type. key: distinct id, group key.
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    team_id INTEGER NOT NULL,
    object_id INTEGER NOT NULL,
    person_id INTEGER,
    version INTEGER NOT NULL,
    is_deleted INTEGER NOT NULL,
    is_identified INTEGER,
    created_at INTEGER,
    uuid BLOB,                        -- of the person
    key TEXT,
    properties TEXT
);

CREATE TABLE persons (
    id INTEGER PRIMARY KEY,
    team_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    is_identified INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    uuid BLOB NOT NULL,
    properties TEXT NOT NULL
);

CREATE TABLE person_distinct_ids (
    team_id INTEGER NOT NULL,
    distinct_id TEXT NOT NULL,
    id INTEGER NOT NULL,              -- order in which a person got its distinct ids; moves keep it
    person_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    person_uuid BLOB NOT NULL,
    PRIMARY KEY (team_id, distinct_id)
) WITHOUT ROWID;
CREATE INDEX person_distinct_ids_by_person ON person_distinct_ids (person_id, id);

CREATE TABLE groups (
    team_id INTEGER NOT NULL,
    group_type_index INTEGER NOT NULL,
    group_key TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    group_properties TEXT NOT NULL,
    PRIMARY KEY (team_id, group_type_index, group_key)
) WITHOUT ROWID;

CREATE TABLE group_types (
    team_id INTEGER NOT NULL,
    group_type_index INTEGER NOT NULL,
    group_type TEXT NOT NULL,
    PRIMARY KEY (team_id, group_type_index),
    UNIQUE (team_id, group_type)
) WITHOUT ROWID;

CREATE TABLE event_definitions (
    team_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER,
    last_seen_at INTEGER,
    PRIMARY KEY (team_id, name)
) WITHOUT ROWID;

CREATE TABLE property_definitions (
    team_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    type INTEGER NOT NULL,            -- 1 event, 2 person, 3 group
    group_type_index INTEGER NOT NULL, -- -1 when the type is not 3
    is_numerical INTEGER NOT NULL,
    property_type TEXT,
    last_seen_at INTEGER,
    PRIMARY KEY (team_id, name, type, group_type_index)
) WITHOUT ROWID;

CREATE TABLE event_properties (
    team_id INTEGER NOT NULL,
    event TEXT NOT NULL,
    property TEXT NOT NULL,
    last_seen_at INTEGER,
    PRIMARY KEY (team_id, event, property)
) WITHOUT ROWID;

-- Sums per minute; what: 0 stored, 1 duplicate, 2 dropped, 3 dead letter.
CREATE TABLE counters (
    minute INTEGER NOT NULL,          -- minutes since 1970
    team_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    what INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (minute, team_id, name, what)
) WITHOUT ROWID;

CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    team_id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    stage TEXT NOT NULL,
    reason TEXT NOT NULL,
    replayed_at INTEGER,
    envelope TEXT NOT NULL
);

-- In arrival order. A checked uuid is there once per team: recordings are few beside events and their uuids come
-- nearly in time order, so the inserts go to the index's end and this table needs no event_index.
CREATE TABLE session_recording_events (
    id INTEGER PRIMARY KEY,
    team_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    is_uuid_checked INTEGER NOT NULL, -- 1: takes part in finding duplicates
    uuid BLOB NOT NULL,
    distinct_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    window_id TEXT NOT NULL,
    snapshot_data TEXT NOT NULL
);
CREATE UNIQUE INDEX session_recording_events_by_uuid ON session_recording_events (team_id, uuid)
 WHERE is_uuid_checked = 1;

CREATE TABLE plugin_logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    team_id INTEGER NOT NULL,
    plugin_config_id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    source TEXT NOT NULL,
    type TEXT NOT NULL,
    message TEXT NOT NULL,
    instance_id TEXT NOT NULL
);

-- What a run asked for beside its event; ids are never reused, so that a reader's highest id tells what it has.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    team_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,              -- when it is due
    key TEXT NOT NULL UNIQUE,         -- made of epoch, offset, plugin config and n: written once
    payload TEXT NOT NULL
);

-- Readers with a durable place. topic 'events' (the ring) uses all columns; topic 'changes' (destinations) has the last
-- number of the change sequence that was delivered.
CREATE TABLE cursors (
    name TEXT NOT NULL,
    topic TEXT NOT NULL,
    is_enabled INTEGER NOT NULL DEFAULT 1,
    offset INTEGER NOT NULL,
    epoch INTEGER,
    seen_end INTEGER,
    ring_id BLOB,
    runs BLOB,
    PRIMARY KEY (name, topic)
) WITHOUT ROWID;

-- ---------------------------------------------------------------------------- public views
-- uuid text and ISO text are spelled out: views cannot share functions. `%` truncates, so the part below a
-- second is brought above zero before it is taken off.

CREATE VIEW v_events AS
SELECT id,
       lower(substr(hex(uuid), 1, 8) || '-' || substr(hex(uuid), 9, 4) || '-' || substr(hex(uuid), 13, 4) || '-' ||
             substr(hex(uuid), 17, 4) || '-' || substr(hex(uuid), 21)) AS uuid,
       team_id, event, distinct_id,
       CASE WHEN person_uuid IS NOT NULL THEN
           lower(substr(hex(person_uuid), 1, 8) || '-' || substr(hex(person_uuid), 9, 4) || '-' ||
                 substr(hex(person_uuid), 13, 4) || '-' || substr(hex(person_uuid), 17, 4) || '-' ||
                 substr(hex(person_uuid), 21)) END AS person_uuid,
       properties, elements_chain,
       strftime('%Y-%m-%dT%H:%M:%S', (timestamp - (timestamp % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch') ||
           printf('.%03dZ', (timestamp % 1000000 + 1000000) % 1000000 / 1000) AS timestamp,
       strftime('%Y-%m-%dT%H:%M:%S', (created_at - (created_at % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch') ||
           printf('.%03dZ', (created_at % 1000000 + 1000000) % 1000000 / 1000) AS created_at,
       group_0_key, group_1_key, group_2_key, group_3_key, group_4_key
  FROM events;

-- Folded rows that the log does not know better, and the newest row of the log for each of the others: beside max()
-- the other columns come from the row that has it.

CREATE VIEW v_persons AS
SELECT id,
       lower(substr(hex(uuid), 1, 8) || '-' || substr(hex(uuid), 9, 4) || '-' || substr(hex(uuid), 13, 4) || '-' ||
             substr(hex(uuid), 17, 4) || '-' || substr(hex(uuid), 21)) AS uuid,
       team_id, properties, is_identified, created_at, version
  FROM persons
 WHERE id NOT IN (SELECT object_id FROM changes WHERE seq > (SELECT folded_seq FROM meta) AND kind = 1)
UNION ALL
SELECT id,
       lower(substr(hex(uuid), 1, 8) || '-' || substr(hex(uuid), 9, 4) || '-' || substr(hex(uuid), 13, 4) || '-' ||
             substr(hex(uuid), 17, 4) || '-' || substr(hex(uuid), 21)),
       team_id, properties, is_identified, created_at, version
  FROM (SELECT object_id AS id, uuid, team_id, properties, is_identified, created_at, version, is_deleted,
               max(seq) AS latest
          FROM changes
         WHERE seq > (SELECT folded_seq FROM meta) AND kind = 1
         GROUP BY object_id)
 WHERE is_deleted = 0 AND latest > 0;

CREATE VIEW v_person_distinct_ids AS
SELECT id, team_id,
       lower(substr(hex(person_uuid), 1, 8) || '-' || substr(hex(person_uuid), 9, 4) || '-' || substr(hex(person_uuid), 13, 4) || '-' ||
             substr(hex(person_uuid), 17, 4) || '-' || substr(hex(person_uuid), 21)) AS person_uuid,
       distinct_id, version
  FROM person_distinct_ids
 WHERE id NOT IN (SELECT object_id FROM changes WHERE seq > (SELECT folded_seq FROM meta) AND kind = 2)
UNION ALL
SELECT id, team_id,
       lower(substr(hex(uuid), 1, 8) || '-' || substr(hex(uuid), 9, 4) || '-' || substr(hex(uuid), 13, 4) || '-' ||
             substr(hex(uuid), 17, 4) || '-' || substr(hex(uuid), 21)),
       distinct_id, version
  FROM (SELECT object_id AS id, uuid, team_id, key AS distinct_id, version, max(seq) AS latest
          FROM changes
         WHERE seq > (SELECT folded_seq FROM meta) AND kind = 2
         GROUP BY object_id)
 WHERE latest > 0;

CREATE VIEW v_groups AS
SELECT team_id, group_type_index, group_key, group_properties, created_at, version
  FROM groups
 WHERE (team_id, group_type_index, group_key) NOT IN
       (SELECT team_id, object_id, key FROM changes WHERE seq > (SELECT folded_seq FROM meta) AND kind = 3)
UNION ALL
SELECT team_id, group_type_index, group_key, properties, created_at, version
  FROM (SELECT team_id, object_id AS group_type_index, key AS group_key, properties, created_at, version,
               max(seq) AS latest
          FROM changes
         WHERE seq > (SELECT folded_seq FROM meta) AND kind = 3
         GROUP BY team_id, object_id, key)
 WHERE latest > 0;

CREATE VIEW v_group_types AS SELECT team_id, group_type_index, group_type FROM group_types;

CREATE VIEW v_event_definitions AS SELECT team_id, name, last_seen_at FROM event_definitions;

CREATE VIEW v_property_definitions AS SELECT team_id, name, property_type, last_seen_at FROM property_definitions;

CREATE VIEW v_event_properties AS SELECT team_id, event, property, last_seen_at FROM event_properties;

CREATE VIEW v_dead_letters AS SELECT id, team_id, at, stage, reason, envelope, replayed_at FROM dead_letters;

CREATE VIEW v_plugin_logs AS
SELECT team_id, plugin_config_id, at, source, type, message, instance_id FROM plugin_logs;

CREATE VIEW v_session_recording_events AS
SELECT team_id, session_id, window_id, distinct_id, timestamp, snapshot_data FROM session_recording_events;

CREATE VIEW v_cursors AS SELECT name, topic, offset FROM cursors;
