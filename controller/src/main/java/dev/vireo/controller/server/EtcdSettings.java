package dev.vireo.controller.server;

import dev.vireo.controller.store.EtcdOptions;
import dev.vireo.controller.store.EtcdOptions.Credentials;
import dev.vireo.controller.store.EtcdOptions.Identity;
import dev.vireo.controller.store.EtcdOptions.Tls;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** The settings {@code vireo.etcd.*}, checked. */
final class EtcdSettings {
  private EtcdSettings() {}

  /**
   * What they mean to the store.
   *
   * @throws StartupException naming the setting that cannot be
   */
  static EtcdOptions options(ControllerConfig.Etcd settings) {
    try {
      List<URI> endpoints =
          settings.endpoints().stream().map(String::strip).map(EtcdOptions::endpoint).toList();
      return new EtcdOptions(
          endpoints,
          settings.prefix(),
          settings.cluster(),
          new Tls(readable("authority", settings.authority()), identity(settings)),
          credentials(settings),
          settings.timeout());
    } catch (IllegalArgumentException e) {
      throw new StartupException("vireo.etcd.*: " + e.getMessage(), e);
    }
  }

  private static Optional<Identity> identity(ControllerConfig.Etcd settings) {
    requireBoth("certificate", settings.certificate(), "key", settings.key());
    return readable("certificate", settings.certificate())
        .map(certificate ->
            new Identity(certificate, readable("key", settings.key()).orElseThrow()));
  }

  private static Optional<Credentials> credentials(ControllerConfig.Etcd settings) {
    requireBoth("user", settings.user(), "password-file", settings.passwordFile());
    return settings
        .user()
        .map(user -> new Credentials(user, password(settings.passwordFile().orElseThrow())));
  }

  private static String password(Path file) {
    try {
      return Files.readString(file).strip();
    } catch (IOException e) {
      throw unreadable("password-file", file, e);
    }
  }

  private static Optional<Path> readable(String setting, Optional<Path> file) {
    file.filter(path -> !Files.isReadable(path))
        .ifPresent(path -> {
          throw unreadable(setting, path, new IOException("no such file, or not ours to read"));
        });
    return file;
  }

  private static StartupException unreadable(String setting, Path file, IOException why) {
    return new StartupException(
        "vireo.etcd.%s: cannot read %s (%s)".formatted(setting, file, why.getMessage()), why);
  }

  private static void requireBoth(String one, Optional<?> first, String two, Optional<?> second) {
    if (first.isPresent() != second.isPresent()) {
      throw new StartupException(
          "vireo.etcd.%s and vireo.etcd.%s go together: set both or none".formatted(one, two));
    }
  }
}
