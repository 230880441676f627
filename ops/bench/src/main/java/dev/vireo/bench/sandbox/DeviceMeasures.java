package dev.vireo.bench.sandbox;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonSyntaxException;
import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.OwnedProcesses;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * What {@code vireo bench devices} finds of the network and of vsock, as a process of its own: it
 * has a network namespace.
 */
final class DeviceMeasures {
  private final Installation installation;
  private final OwnedProcesses processes;

  DeviceMeasures(Installation installation, OwnedProcesses processes) {
    this.installation = installation;
    this.processes = processes;
  }

  /** Its answer for what is named so. */
  JsonObject measure(String only, boolean quick) throws IOException {
    List<String> command = new ArrayList<>(namespace());
    command.addAll(
        List.of(
            Path.of(System.getProperty("java.home"), "bin/java").toString(),
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "--enable-native-access=ALL-UNNAMED",
            "--sun-misc-unsafe-memory-access=allow",
            "-Dvireo.root=" + installation.root(),
            "-cp",
            System.getProperty("java.class.path"),
            "dev.vireo.bench.Main",
            "devices",
            "--only",
            only,
            "-o",
            "json"));
    if (quick) {
      command.add("--quick");
    }
    Path output = Path.of("devices-" + only + ".log");
    Process bench = processes.start(output, Map.of(), command);
    try {
      int status = bench.waitFor();
      String text = Files.readString(processes.directory().resolve(output));
      if (status != 0) {
        throw new IOException("vireo bench devices --only " + only + " failed:\n" + text);
      }
      return answer(text);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException();
    } finally {
      bench.destroy();
    }
  }

  private static List<String> namespace() throws IOException {
    boolean root = Files.getAttribute(Path.of("/proc/self"), "unix:uid").equals(0);
    return root
        ? List.of("unshare", "--net")
        : List.of("unshare", "--user", "--map-root-user", "--net");
  }

  /** The JSON behind the lines that tell of its progress. */
  static JsonObject answer(String output) throws IOException {
    int begin = output.startsWith("{") ? 0 : output.indexOf("\n{") + 1;
    try {
      if (begin > 0 || output.startsWith("{")) {
        return JsonParser.parseString(output.substring(begin)).getAsJsonObject();
      }
    } catch (JsonSyntaxException e) {
      // Told below.
    }
    throw new IOException("vireo bench devices says what is no JSON: " + output);
  }
}
