package dev.vireo.controller.store;

import dev.vireo.controller.store.StoreException.Unavailable;
import dev.vireo.controller.store.StoreException.Unusable;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Stream;
import org.sqlite.JDBC;
import org.sqlite.SQLiteErrorCode;
import org.sqlite.SQLiteException;
import org.sqlite.SQLiteJDBCLoader;

/**
 * The SQLite file, opened, checked and of the current schema.
 *
 * <p>The schema's number is SQLite's {@code user_version}; {@code application_id} tells our files
 * from others. Both are looked at before anything is written.
 */
final class SqliteFile implements AutoCloseable {
  /** "VREO". */
  private static final int APPLICATION_ID = 0x5652_454f;

  /** Of the schema that this release writes. */
  static final int SCHEMA_VERSION = 1;

  private static final String[] SCHEMA = {
    "CREATE TABLE entry (key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL,"
        + " created_version INTEGER NOT NULL, expires_ms INTEGER) WITHOUT ROWID",
    "CREATE INDEX entry_expiry ON entry(expires_ms) WHERE expires_ms IS NOT NULL",
    "CREATE TABLE tombstone (version INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,"
        + " PRIMARY KEY (version, key)) WITHOUT ROWID",
    "CREATE TABLE store (version INTEGER NOT NULL, oldest_version INTEGER NOT NULL)",
    "INSERT INTO store VALUES (0, 0)",
    "PRAGMA application_id = " + APPLICATION_ID,
    "PRAGMA user_version = " + SCHEMA_VERSION,
  };

  private static boolean nativeCodeLoaded;

  private final Path path;
  private final Connection connection;
  private final Map<String, PreparedStatement> statements = new HashMap<>();

  private SqliteFile(Path path, Connection connection) {
    this.path = path;
    this.connection = connection;
  }

  /**
   * Opens the file for this process alone; makes it, readable to its owner only, if there is none.
   */
  static SqliteFile open(Path path) {
    create(path);
    loadNativeCode(path.resolveSibling("native"));
    SqliteFile file;
    try {
      Properties properties = new Properties();
      // Nobody else may have it open, so there is nobody to wait for.
      properties.setProperty("busy_timeout", "0");
      properties.setProperty("locking_mode", "EXCLUSIVE");
      // Not by DriverManager, which knows only what the first class loader to use it could see.
      file = new SqliteFile(path, JDBC.createConnection("jdbc:sqlite:" + path, properties));
    } catch (SQLException e) {
      throw new Unavailable("cannot open the store %s: %s".formatted(path, e.getMessage()), e);
    }
    try {
      file.check();
      file.prepareForUse();
      return file;
    } catch (SQLException e) {
      file.close();
      throw file.explain(e);
    } catch (StoreException e) {
      file.close();
      throw e;
    }
  }

  /**
   * The driver unpacks SQLite into a file which only an orderly end of the process removes. So it
   * does that in a directory of ours, which is gone again before anything else is done.
   */
  private static synchronized void loadNativeCode(Path directory) {
    if (nativeCodeLoaded) {
      return;
    }
    try {
      removeDirectory(directory); // of a process that was killed right here
      Files.createDirectory(
          directory,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
      System.setProperty("org.sqlite.tmpdir", directory.toString());
      nativeCodeLoaded = SQLiteJDBCLoader.initialize();
      removeDirectory(directory);
    } catch (Exception e) {
      throw new Unavailable("cannot load SQLite by way of %s: %s".formatted(directory, e), e);
    }
  }

  private static void removeDirectory(Path directory) throws IOException {
    if (!Files.exists(directory)) {
      return;
    }
    try (Stream<Path> files = Files.list(directory)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    Files.delete(directory);
  }

  private static void create(Path path) {
    try {
      Files.createFile(
          path, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    } catch (FileAlreadyExistsException e) {
      // What it is will be seen when it is opened.
    } catch (IOException e) {
      throw new Unavailable("cannot make the store %s: %s".formatted(path, e), e);
    }
  }

  /** A statement that is compiled once; its owner's thread uses it for one thing at a time. */
  PreparedStatement prepare(String sql) throws SQLException {
    PreparedStatement statement = statements.get(sql);
    if (statement == null) {
      statement = connection.prepareStatement(sql);
      statements.put(sql, statement);
    }
    return statement;
  }

  /** After an error: ends the transaction, if SQLite has not, and leaves nothing half used. */
  void rollback() throws SQLException {
    // The driver may leave the statement that failed unfit for use.
    for (PreparedStatement statement : statements.values()) {
      statement.close();
    }
    statements.clear();
    try {
      execute("ROLLBACK");
    } catch (SQLException e) {
      // "No transaction is active": on a full disk SQLite rolls back by itself.
    }
  }

  @Override
  public void close() {
    try {
      connection.close();
    } catch (SQLException e) {
      // The file is whole whatever happens here: that is what the write-ahead log is for.
    }
  }

  private void check() throws SQLException {
    int schema = (int) number("PRAGMA user_version");
    boolean empty = number("SELECT count(*) FROM sqlite_master") == 0;
    if (!empty && number("PRAGMA application_id") != APPLICATION_ID) {
      throw new Unusable("%s is a database, but not Vireo's".formatted(path), null);
    }
    if (schema > SCHEMA_VERSION) {
      throw new Unusable(
          "the store %s was written by a newer release (schema %d; this one knows %d): run that"
                  .formatted(path, schema, SCHEMA_VERSION)
              + " release, or restore a backup",
          null);
    }
    String finding = text("PRAGMA quick_check(1)");
    if (!finding.equals("ok")) {
      throw corrupt(finding, null);
    }
  }

  private void prepareForUse() throws SQLException {
    execute("PRAGMA journal_mode = WAL");
    execute("PRAGMA synchronous = FULL");
    if (number("PRAGMA user_version") == 0) {
      execute("BEGIN IMMEDIATE");
      for (String sql : SCHEMA) {
        execute(sql);
      }
      execute("COMMIT");
    }
  }

  private StoreException explain(SQLException e) {
    if (e instanceof SQLiteException sqlite) {
      SQLiteErrorCode code = sqlite.getResultCode();
      switch (code.code & 0xff) {
        case 5, 6 -> { // SQLITE_BUSY, SQLITE_LOCKED
          return new Unusable(
              "the store %s is open in another process; one controller at a time".formatted(path),
              e);
        }
        case 11, 26 -> { // SQLITE_CORRUPT, SQLITE_NOTADB
          return corrupt(code.message, e);
        }
        default -> {
          // Told as it is.
        }
      }
    }
    return new Unavailable("cannot use the store %s: %s".formatted(path, e.getMessage()), e);
  }

  private Unusable corrupt(String finding, @org.jspecify.annotations.Nullable Exception cause) {
    return new Unusable(
        "the store %s is corrupt (%s); it was left as it is: restore a backup, or move it away to"
                .formatted(path, finding)
            + " begin anew",
        cause);
  }

  void execute(String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }

  private long number(String sql) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery(sql)) {
      row.next();
      return row.getLong(1);
    }
  }

  private String text(String sql) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery(sql)) {
      row.next();
      return row.getString(1);
    }
  }
}
