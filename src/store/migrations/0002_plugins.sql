-- Schema 2. What plugins keep, and numbers for what the provision file names. It adds only, so no copy is made first.

-- Numbers that stand for an object in other tables and in programs: from 1 in each kind, never given twice.
CREATE TABLE object_ids (
    kind TEXT PRIMARY KEY,
    last_id INTEGER NOT NULL
) WITHOUT ROWID;
ALTER TABLE objects ADD COLUMN id INTEGER NOT NULL DEFAULT 0;
UPDATE objects SET id = numbered.id
  FROM (SELECT kind, key, row_number() OVER (PARTITION BY kind ORDER BY key) AS id FROM objects) AS numbered
 WHERE numbered.kind = objects.kind AND numbered.key = objects.key;
INSERT INTO object_ids SELECT kind, max(id) FROM objects GROUP BY kind;
CREATE UNIQUE INDEX objects_by_id ON objects (kind, id);

-- meta.storage of a plugin config; value is JSON text.
CREATE TABLE plugin_storage (
    plugin_config_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (plugin_config_id, key)
) WITHOUT ROWID;

-- What is known of a plugin config beyond its object, across restarts.
CREATE TABLE plugin_state (
    plugin_config_id INTEGER PRIMARY KEY,
    error TEXT,                       -- JSON: the last failure; NULL: none since it was loaded
    circuit_until INTEGER,            -- until then the plugin is passed by; NULL: its circuit is closed
    circuit_why TEXT
);

-- No config will ever have that number again.
CREATE TRIGGER plugin_config_removed AFTER DELETE ON objects WHEN old.kind = 'plugin_configs' BEGIN
    DELETE FROM plugin_storage WHERE plugin_config_id = old.id;
    DELETE FROM plugin_state WHERE plugin_config_id = old.id;
END;

-- The newest entries of a config. Old ones are deleted in the order of their ids, which is that of time.
CREATE INDEX plugin_logs_by_config ON plugin_logs (plugin_config_id, id);
