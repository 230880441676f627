package dev.vireo.controller.server;

import dev.vireo.controller.store.EtcdStore;
import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.StoreCopy;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.time.TimeSource;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.smallrye.config.SmallRyeConfigBuilder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Clock;
import java.util.Locale;

/**
 * A program of its own, for {@code vireo store migrate}: copies the controller's store {@code
 * arguments[0]} into {@code arguments[1]}, each {@code sqlite} or {@code etcd} as the controller's
 * settings have them. The last line says what was done, or why not.
 */
public final class MigrateStore {
  private MigrateStore() {}

  private enum Role {
    /** Is there, and left as it is. */
    SOURCE,
    TARGET
  }

  public static void main(String[] arguments) {
    ControllerConfig config =
        new SmallRyeConfigBuilder()
            .addDefaultSources()
            .addDefaultInterceptors()
            .addDiscoveredConverters()
            .withMapping(ControllerConfig.class)
            .withValidateUnknown(false)
            .build()
            .getConfigMapping(ControllerConfig.class);
    try (Store from = open(config, arguments[0], Role.SOURCE);
        Store to = open(config, arguments[1], Role.TARGET)) {
      int keys = new StoreCopy(from, to, config.request().lifetime()).run();
      System.out.printf("copied %d keys, and compared them%n", keys);
    } catch (StoreCopy.Failed | StoreException | StartupException e) {
      System.out.println(e.getMessage());
      System.exit(1);
    }
  }

  private static Store open(ControllerConfig config, String kind, Role role) {
    return switch (ControllerConfig.StoreKind.valueOf(kind.toUpperCase(Locale.ROOT))) {
      case SQLITE -> sqlite(config.controllerDirectory(), role);
      case ETCD -> EtcdStore.open(EtcdSettings.options(config.etcd()), TimeSource.system());
    };
  }

  private static Store sqlite(Path directory, Role role) {
    Path file = directory.resolve("vireo.db");
    if (role == Role.SOURCE && !Files.exists(file)) {
      throw new StartupException("there is no store %s".formatted(file));
    }
    try {
      Files.createDirectories(
          directory,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    } catch (IOException e) {
      throw new StartupException("cannot make the directory %s: %s".formatted(directory, e), e);
    }
    MeterRegistry meters = new SimpleMeterRegistry();
    return role == Role.SOURCE
        ? SqliteStore.openAsItIs(file, Clock.systemUTC(), meters)
        : SqliteStore.open(file, Clock.systemUTC(), meters);
  }
}
