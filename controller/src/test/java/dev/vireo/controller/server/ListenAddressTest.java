package dev.vireo.controller.server;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.smallrye.config.PropertiesConfigSource;
import io.smallrye.config.SmallRyeConfigBuilder;
import java.io.IOException;
import java.net.URL;
import java.util.Map;
import org.junit.jupiter.api.Test;

final class ListenAddressTest {
  private static String address(Map<String, String> given) throws IOException {
    URL ours = ListenAddressTest.class.getClassLoader().getResource("application.properties");
    return ListenAddress.ofGrpc(
            new SmallRyeConfigBuilder()
                .addDefaultInterceptors()
                .withSources(
                    new PropertiesConfigSource(ours, 250),
                    new PropertiesConfigSource(given, "given", 400))
                .build())
        .toString();
  }

  @Test
  void whicheverSettingNamesThePortItIsThatPort() throws IOException {
    assertEquals("127.0.0.1:7420", address(Map.of()));
    assertEquals("127.0.0.1:8001", address(Map.of("vireo.grpc.port", "8001")));
    assertEquals("127.0.0.1:8002", address(Map.of("quarkus.grpc.server.port", "8002")));
  }

  @Test
  void anAddressWithColonsHasBrackets() throws IOException {
    assertEquals("[::1]:7420", address(Map.of("vireo.grpc.host", "::1")));
  }
}
