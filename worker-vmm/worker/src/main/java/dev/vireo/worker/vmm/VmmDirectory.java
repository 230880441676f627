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
  private static final VmmRecord NOBODY = VmmRecord.getDefaultInstance();

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

  /**
   * Adds to the record whom the process is given to. A file of its own, written once: replacing the
   * record would make the file system flush it while a create waits. One that was cut short by a
   * kill says that nobody was told yet, which is true.
   */
  void writeAssignment(String microVmUid, long attempt) throws IOException {
    VmmRecord assignment =
        VmmRecord.newBuilder().setMicrovmUid(microVmUid).setAttempt(attempt).build();
    Files.write(path.resolve("assigned"), assignment.toByteArray());
  }

  void removeAssignment() throws IOException {
    Files.deleteIfExists(path.resolve("assigned"));
  }

  /** Empty if there is none: its worker was killed before it could write one. */
  Optional<VmmRecord> read() throws IOException {
    Optional<VmmRecord> record = read(path.resolve("record"));
    Optional<VmmRecord> assignment = read(path.resolve("assigned"));
    return record.map(process -> process.toBuilder().mergeFrom(assignment.orElse(NOBODY)).build());
  }

  private static Optional<VmmRecord> read(Path file) throws IOException {
    try {
      return Optional.of(VmmRecord.parseFrom(Files.readAllBytes(file)));
    } catch (NoSuchFileException | InvalidProtocolBufferException e) {
      return Optional.empty();
    }
  }

  /** Made beforehand, so that a create has to open it only. */
  void createExitRecord() throws IOException {
    Files.createFile(exitRecord());
  }

  /** For the VMM to write its last status into. */
  Fd openExitRecord() {
    return Fd.open(exitRecord().toString(), Fd.O_RDWR);
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
