package dev.vireo.worker.network;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** By the program {@code nft}, in the network namespace of the thread that calls. */
final class NftProgram implements Nft {
  /** Also enough where the program is emulated, and loads the kernel's modules first. */
  private static final long WITHIN_SECONDS = 60;

  private final List<String> program;

  /**
   * @param program its path, and before that what runs it elsewhere
   */
  NftProgram(String... program) {
    this.program = List.of(program);
  }

  @Override
  public void apply(String transaction) throws IOException {
    run(transaction, "-f", "-");
  }

  @Override
  public void check(String transaction) throws IOException {
    run(transaction, "-c", "-f", "-");
  }

  @Override
  public String listing(String family, String table) throws IOException {
    String tables = run("", "list", "tables", family);
    return tables.lines().anyMatch("table %s %s".formatted(family, table)::equals)
        ? run("", "-t", "list", "table", family, table)
        : "";
  }

  private String run(String input, String... arguments) throws IOException {
    List<String> command = new ArrayList<>(program);
    command.addAll(List.of(arguments));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    try {
      // It may say much before it has read all.
      CompletableFuture<byte[]> output = CompletableFuture.supplyAsync(() -> readAll(process));
      try (OutputStream standardInput = process.getOutputStream()) {
        standardInput.write(input.getBytes(UTF_8));
      } catch (IOException e) {
        // It has ended early: its words say why.
      }
      if (!process.waitFor(WITHIN_SECONDS, TimeUnit.SECONDS)) {
        throw new IOException("nft does not end");
      }
      String said = new String(output.join(), UTF_8).strip();
      if (process.exitValue() != 0) {
        throw new IOException("nft: " + said);
      }
      return said;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("while nft ran");
    } finally {
      process.destroyForcibly();
    }
  }

  private static byte[] readAll(Process process) {
    try {
      return process.getInputStream().readAllBytes();
    } catch (IOException e) {
      return new byte[0];
    }
  }
}
