-- darkroom.db as version 1 wrote it. It is never changed: newer programs have to read it.
BEGIN;
CREATE TABLE job ( number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, user TEXT NOT NULL, phase TEXT NOT NULL  CHECK (phase IN ('queued', 'running', 'done', 'failed', 'cancelled')), survives INTEGER NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL, created_s REAL NOT NULL, started_s REAL NOT NULL, ended_s REAL NOT NULL, starts INTEGER NOT NULL, request TEXT NOT NULL, code TEXT, error TEXT, answer TEXT) STRICT;
CREATE INDEX job_phase ON job (phase);
CREATE INDEX job_user ON job (user);
CREATE INDEX job_key ON job (key, user) WHERE key <> '';
CREATE INDEX job_digest ON job (digest, user);
CREATE TABLE picture ( number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, job TEXT NOT NULL, idx INTEGER NOT NULL, user TEXT NOT NULL, kept INTEGER NOT NULL, jpeg INTEGER NOT NULL, created_s REAL NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, seed INTEGER NOT NULL, bytes INTEGER NOT NULL, prompt TEXT NOT NULL, model TEXT NOT NULL, vae TEXT NOT NULL, parameters TEXT NOT NULL, UNIQUE (job, idx)) STRICT;
CREATE INDEX picture_kept ON picture (kept);
CREATE INDEX picture_user ON picture (user, kept);
CREATE TABLE doomed (id TEXT NOT NULL, jpeg INTEGER NOT NULL, PRIMARY KEY (id, jpeg)) STRICT, WITHOUT ROWID;
CREATE TRIGGER picture_removed AFTER DELETE ON picture BEGIN INSERT OR IGNORE INTO doomed VALUES (old.id, old.jpeg);
END;
CREATE TABLE option (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

INSERT INTO job VALUES (1, '00000000000000000000000000000001', '', 'queued', 1, '',
  zeroblob(32), 1790000000.0, 0.0, 0.0, 0,
  '{"kind":"txt2img","prompt":"a lighthouse at dusk","negative_prompt":"","seed":7,"batch_size":1,"n_iter":1,"clip_skip":1,"denoising_strength":0.75,"resize":"stretch","model":"","vae":"","format":"png","quality":80,"save_images":true,"warnings":""}',
  NULL, NULL, NULL);
INSERT INTO picture VALUES (1, '00000000000000000000000000000002', '00000000000000000000000000000003', 0, '', 1, 0,
  1790000000.0, 512, 512, 7, 1000, 'a lighthouse at dusk', 'sd15', '', 'a lighthouse at dusk');
INSERT INTO option VALUES ('vae', 'Automatic');
PRAGMA user_version = 1;
COMMIT;
PRAGMA journal_mode = WAL;
