package dev.vireo.worker.vmm;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.vireo.linux.Fd;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.worker.v1.VmmRecord;
import dev.vireo.worker.state.AtomicFile;
import dev.vireo.worker.state.StateDirectory;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;

/** The files of one VMM process. */
record VmmDirectory(Path path) {
  private static final int LOG_TAIL_BYTES = 400;
  private static final long MAX_LOG_BYTES = 1 << 20;

  String id() {
    return String.valueOf(path.getFileName());
  }

  Path controlSocket() {
    return path.resolve("control.sock");
  }

  Path log() {
    return path.resolve("vmm.log");
  }

  private Path exitRecord() {
    return path.resolve("exit-record");
  }

  void write(VmmRecord record) throws IOException {
    AtomicFile.write(path.resolve("record"), record.toByteArray());
  }

  /** Empty if there is none: its worker was killed before it could write one. */
  Optional<VmmRecord> read() throws IOException {
    try {
      return Optional.of(VmmRecord.parseFrom(Files.readAllBytes(path.resolve("record"))));
    } catch (NoSuchFileException | InvalidProtocolBufferException e) {
      return Optional.empty();
    }
  }

  /** For the VMM to write its last status into. */
  Fd createExitRecord() {
    return Fd.open(exitRecord().toString(), Fd.O_RDWR | Fd.O_CREAT | Fd.O_TRUNC, 0600);
  }

  /** What the VMM said when its VM ended; empty if it did not come to that. */
  Optional<VmmStatus> lastWords() {
    try {
      byte[] bytes = Files.readAllBytes(exitRecord());
      return bytes.length == 0 ? Optional.empty() : Optional.of(VmmStatus.parseFrom(bytes));
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  /** The last lines of the VMM's output, as one. */
  String logTail() {
    try (RandomAccessFile file = new RandomAccessFile(log().toFile(), "r")) {
      long from = Math.max(0, file.length() - LOG_TAIL_BYTES);
      byte[] tail = new byte[(int) (file.length() - from)];
      file.seek(from);
      file.readFully(tail);
      return new String(tail, UTF_8).strip().replace("\n", " | ");
    } catch (IOException e) {
      return "";
    }
  }

  /** Empties the log if it has grown too long; the VMM appends, so it goes on from the start. */
  void capLog() throws IOException {
    if (Files.size(log()) > MAX_LOG_BYTES) {
      try (RandomAccessFile file = new RandomAccessFile(log().toFile(), "rw")) {
        file.setLength(0);
      }
    }
  }

  void remove() throws IOException {
    StateDirectory.removeTree(path);
  }
}
