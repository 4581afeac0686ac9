#include "service/store_schema.h"

/* Rows have numbers in the order of arrival; the clock decides nothing. */
static const char tables[] =
    "CREATE TABLE job ("
    " number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " id TEXT NOT NULL UNIQUE,"
    " user TEXT NOT NULL,"
    " phase TEXT NOT NULL"
    "  CHECK (phase IN ('queued', 'running', 'done', 'failed', 'cancelled')),"
    " survives INTEGER NOT NULL,"
    " key TEXT NOT NULL,"
    " digest BLOB NOT NULL,"
    " created_s REAL NOT NULL, started_s REAL NOT NULL, ended_s REAL NOT NULL,"
    " starts INTEGER NOT NULL," /* how often it was started and not stopped in order */
    " request TEXT NOT NULL,"
    " code TEXT, error TEXT,"
    " answer TEXT) STRICT;"
    "CREATE INDEX job_phase ON job (phase);"
    "CREATE INDEX job_user ON job (user);"
    "CREATE INDEX job_key ON job (key, user) WHERE key <> '';"
    "CREATE INDEX job_digest ON job (digest, user);"

    "CREATE TABLE picture ("
    " number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " id TEXT NOT NULL UNIQUE,"
    " job TEXT NOT NULL," /* that may have been forgotten */
    " idx INTEGER NOT NULL,"
    " user TEXT NOT NULL,"
    " kept INTEGER NOT NULL,"
    " jpeg INTEGER NOT NULL,"
    " created_s REAL NOT NULL,"
    " width INTEGER NOT NULL, height INTEGER NOT NULL,"
    " seed INTEGER NOT NULL," /* unsigned, in 64 bits */
    " bytes INTEGER NOT NULL,"
    " prompt TEXT NOT NULL,"
    " model TEXT NOT NULL, vae TEXT NOT NULL,"
    " parameters TEXT NOT NULL,"
    " UNIQUE (job, idx)) STRICT;"
    /* Each index ends with the number, by which lists are ordered. */
    "CREATE INDEX picture_kept ON picture (kept);"
    "CREATE INDEX picture_user ON picture (user, kept);"

    /* Files whose row is gone: to be removed. */
    "CREATE TABLE doomed (id TEXT NOT NULL, jpeg INTEGER NOT NULL,"
    " PRIMARY KEY (id, jpeg)) STRICT, WITHOUT ROWID;"
    "CREATE TRIGGER picture_removed AFTER DELETE ON picture BEGIN"
    " INSERT OR IGNORE INTO doomed VALUES (old.id, old.jpeg);"
    "END;"

    "CREATE TABLE option (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;";

/* Prompts never change. What is indexed of each is bounded, and the same when it is taken out again. */
static const char words[] =
    "CREATE VIRTUAL TABLE word USING fts5 ("
    " prompt, content='', tokenize='unicode61 remove_diacritics 2', prefix='2 3');"
    "CREATE TRIGGER picture_word_added AFTER INSERT ON picture BEGIN"
    " INSERT INTO word (rowid, prompt) VALUES (new.number, substr(new.prompt, 1, 2000));"
    "END;"
    "CREATE TRIGGER picture_word_removed AFTER DELETE ON picture BEGIN"
    " INSERT INTO word (word, rowid, prompt)"
    "  VALUES ('delete', old.number, substr(old.prompt, 1, 2000));"
    "END;"
    "INSERT INTO word (rowid, prompt) SELECT number, substr(prompt, 1, 2000) FROM picture;";

const char *const store_schema_steps[STORE_SCHEMA_VERSION] = {tables, words};
