package dev.vireo.controller.store;

import static dev.vireo.controller.store.StoreConformance.bytes;
import static dev.vireo.controller.store.StoreConformance.join;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vireo.controller.store.EtcdOptions.Credentials;
import dev.vireo.controller.store.EtcdOptions.Identity;
import dev.vireo.controller.store.EtcdOptions.Tls;
import dev.vireo.controller.store.StoreException.Unavailable;
import dev.vireo.controller.time.TimeSource;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** An etcd with TLS, which asks for a client's certificate, and one with users. */
final class EtcdSecurityTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(3);

  @TempDir private Path directory;

  @BeforeAll
  static void needEtcd() {
    assumeTrue(EtcdServer.isInstalled(), "etcd is not installed (Debian: etcd-server)");
  }

  @Test
  void withTlsBothSidesShowCertificates() throws Exception {
    TestCertificates certificates = TestCertificates.make(directory);
    try (EtcdServer server =
        EtcdServer.start(
            "https",
            List.of(
                "--cert-file=" + certificates.certificate(),
                "--key-file=" + certificates.key(),
                "--trusted-ca-file=" + certificates.authority(),
                "--client-cert-auth"))) {
      Tls tls =
          new Tls(
              Optional.of(certificates.authority()),
              Optional.of(new Identity(certificates.certificate(), certificates.key())));
      try (EtcdStore store = open(server, tls, Optional.empty())) {
        long version = join(store.commit(List.of(new Write.Put("a", 0, bytes("1")))));
        assertEquals(version, join(store.get("a")).orElseThrow().version());
      }

      Tls nameless = new Tls(Optional.of(certificates.authority()), Optional.empty());
      assertThrows(Unavailable.class, () -> open(server, nameless, Optional.empty()));
      Unavailable untrusted =
          assertThrows(Unavailable.class, () -> open(server, Tls.DEFAULT, Optional.empty()));
      assertTrue(untrusted.getMessage().contains("certification path"), untrusted.getMessage());
    }
  }

  @Test
  void withUsersAPasswordIsNeededAndATokenIsFetchedAgain() throws Exception {
    try (EtcdServer server = EtcdServer.start()) {
      EtcdTool etcd = new EtcdTool(server.endpoint());
      etcd.enableUsers("root-password", "vireo", "secret", "/vireo/");

      try (EtcdStore store =
          open(server, Tls.DEFAULT, Optional.of(new Credentials("vireo", "secret")))) {
        join(store.commit(List.of(new Write.Put("a", 0, bytes("1")))));
        // Tokens are the member's own: after this it knows none.
        server.kill();
        server.restart();
        join(store.commit(List.of(new Write.Put("b", 0, bytes("1")))));
        assertEquals(2, join(store.list("")).entries().size());
      }

      Unavailable wrong =
          assertThrows(
              Unavailable.class,
              () -> open(server, Tls.DEFAULT, Optional.of(new Credentials("vireo", "guess"))));
      assertTrue(wrong.getMessage().contains("check the user"), wrong.getMessage());
      Unavailable nobody =
          assertThrows(Unavailable.class, () -> open(server, Tls.DEFAULT, Optional.empty()));
      assertTrue(nobody.getMessage().contains("check the user"), nobody.getMessage());
    }
  }

  private static EtcdStore open(EtcdServer server, Tls tls, Optional<Credentials> credentials) {
    EtcdOptions options =
        new EtcdOptions(List.of(server.endpoint()), "/vireo/", "test", tls, credentials, TIMEOUT);
    return EtcdStore.open(options, TimeSource.system());
  }
}
