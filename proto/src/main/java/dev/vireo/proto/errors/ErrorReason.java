package dev.vireo.proto.errors;

import java.time.Duration;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Every reason that {@code google.rpc.ErrorInfo} may carry in the domain {@value #DOMAIN}. The
 * names are API. {@code proto/ERRORS.md} is this table for people; a test keeps the two the same.
 */
public enum ErrorReason {
  FIELD_REQUIRED(Code.INVALID_ARGUMENT, "A field that must be set is not.", "Set the field."),
  FIELD_INVALID(
      Code.INVALID_ARGUMENT,
      "A field's value is malformed or out of range.",
      "Use a value in the range that the violation's description gives."),
  FIELD_UNSUPPORTED(
      Code.INVALID_ARGUMENT,
      "The value is legal, but this release or this machine type cannot do it.",
      "Use one of the values that the violation's description lists."),
  PAGE_TOKEN_INVALID(
      Code.INVALID_ARGUMENT,
      "The page token was not made by this list with these parameters.",
      "Start again without a page token."),
  MICROVM_NOT_FOUND(Code.NOT_FOUND, "No microVM has this name.", "List what exists: vireo list."),
  NODE_NOT_FOUND(Code.NOT_FOUND, "No node has this name.", "List the nodes: vireo node list."),
  MICROVM_ALREADY_EXISTS(
      Code.ALREADY_EXISTS,
      "A microVM of this name exists.",
      "Choose another microvm_id, or delete the old one first."),
  REQUEST_ID_REUSED(
      Code.FAILED_PRECONDITION,
      "This request_id was used before with another request.",
      "Use a fresh UUID for each new request; reuse it only to retry the same one."),
  ETAG_MISMATCH(
      Code.ABORTED,
      "The resource has changed since this etag was read.",
      "Read it again and decide anew."),
  STATE_CONFLICT(
      Code.FAILED_PRECONDITION,
      "The microVM's state does not allow this.",
      "See its state (vireo get), and in controller/LIFECYCLE.md which state allows what."),
  NOT_ON_A_NODE(
      Code.FAILED_PRECONDITION,
      "The microVM has no node yet, so there is nothing to read from.",
      "See why it is pending: vireo get."),
  LOG_OFFSET_INVALID(
      Code.OUT_OF_RANGE,
      "No piece of this output begins at this offset.",
      "Begin at 0, or at a next_offset that was told."),
  TRACE_BUSY(
      Code.FAILED_PRECONDITION,
      "Somebody traces this microVM already.",
      "Wait until that trace has ended: there is one at a time."),
  AGENT_UNAVAILABLE(
      Code.FAILED_PRECONDITION,
      "No agent of Vireo's answers in the guest.",
      "Run an image with an agent (debian-12 with vireo.run=agent on its command line) and --vsock."),
  AGENT_FAILED(
      Code.FAILED_PRECONDITION,
      "The guest's agent ended the conversation, or said what an agent may not say.",
      "See the guest's console: vireo logs; what had been begun in the guest may have been done."),
  GUEST_NOT_FOUND(
      Code.INVALID_ARGUMENT,
      "The program, file, directory or user does not exist in the guest.",
      "Name one that does; a program without a slash is looked for in the PATH it is given."),
  GUEST_NOT_EXECUTABLE(
      Code.INVALID_ARGUMENT,
      "What is to be run in the guest is no program, or one for another machine.",
      "Name a program of the guest's architecture; a script needs a #! line."),
  GUEST_PERMISSION_DENIED(
      Code.FAILED_PRECONDITION,
      "The guest's kernel does not permit it.",
      "Use a user that may, or change the permissions in the guest."),
  GUEST_EXHAUSTED(
      Code.RESOURCE_EXHAUSTED,
      "The guest has no processes, memory, disk space or descriptors left for it.",
      "Make room in the guest, or give the microVM more."),
  GUEST_FAILED(
      Code.FAILED_PRECONDITION,
      "The guest's kernel refused it.",
      "The message has the kernel's word."),
  PORT_REFUSED(
      Code.UNAVAILABLE,
      "Nobody listens on this port of the guest's loopback addresses.",
      "Start the server in the guest, or name the port that it listens on.",
      Duration.ofSeconds(1)),
  HTTP_BROKEN_OFF(
      Code.UNAVAILABLE,
      "The guest's HTTP server ended the connection before its answer was whole.",
      "See what it has written: vireo logs. Whether it has done what was asked is not known.",
      Duration.ofSeconds(1)),
  HTTP_INVALID(
      Code.FAILED_PRECONDITION,
      "What the guest's server answered is not HTTP/1.1, or is more than is taken.",
      "Name the port of an HTTP server; headers may have 64 KiB."),
  HTTP_TIMED_OUT(
      Code.DEADLINE_EXCEEDED,
      "The guest's HTTP server did not answer the whole in time. It may still be at it.",
      "Allow for more time (vireo invoke --timeout), or see what it does: vireo logs."),
  STDIN_BUSY(
      Code.FAILED_PRECONDITION,
      "Another client writes to the process' standard input, which has one writer at a time.",
      "End or detach that one, or attach without standard input: vireo attach --no-stdin."),
  TUNNELS_EXHAUSTED(
      Code.RESOURCE_EXHAUSTED,
      "The microVM, or its node, has as many calls to guests' agents as it may have at a time.",
      "End some: commands (vireo exec), copies and forwarded connections that are under way."),
  WATCH_VERSION_TOO_OLD(
      Code.OUT_OF_RANGE,
      "Changes since this resource version are no longer kept.",
      "List again and watch from the version that the list gives."),
  WATCH_TOO_SLOW(
      Code.RESOURCE_EXHAUSTED,
      "The client did not read its watch fast enough.",
      "Watch again from the last version you saw."),
  NODE_UNREACHABLE(
      Code.UNAVAILABLE,
      "The node's worker has no session with the controller now.",
      "Retry with back-off; see vireo node list.",
      Duration.ofSeconds(5)), // As long as a worker may wait before it dials again.
  NODE_NOT_LOST(
      Code.FAILED_PRECONDITION,
      "Only a node that is LOST can be fenced: one that is not may run its microVMs.",
      "Drain it (vireo node drain), or turn its machine off and wait until its lease has ended."),
  NODE_ID_TAKEN(
      Code.FAILED_PRECONDITION,
      "Another worker holds this node id, and its lease has not ended.",
      "Give each worker an id of its own; a replaced worker is let in when the old lease ends."),
  STORE_UNAVAILABLE(
      Code.UNAVAILABLE,
      "The store could not be read or written.",
      "Retry with back-off; the controller's log names the cause (a full disk, for example).",
      Duration.ofSeconds(2)),
  NO_LEADER(
      Code.UNAVAILABLE,
      "No controller leads now, or the one that did went away before it had answered.",
      "Retry with back-off, a create with the same request_id; another leads within seconds.",
      Duration.ofSeconds(1)),
  NOT_LEADER(
      Code.UNAVAILABLE,
      "This controller does not lead, and what it was asked only the leader does.",
      "Retry; a worker dials the address that the error's metadata names as leader.",
      Duration.ofSeconds(1)),
  WAIT_TIMED_OUT(
      Code.DEADLINE_EXCEEDED,
      "The microVM did not reach the awaited point in time. It exists and goes on.",
      "Watch it, or delete it."),
  KERNEL_NOT_FOUND(
      Code.INVALID_ARGUMENT,
      "The kernel is neither an image of the node's store nor a file there.",
      "vireo image list shows the images; a file needs an absolute path on the node."),
  KERNEL_INVALID(
      Code.INVALID_ARGUMENT,
      "The file is not a whole bzImage or ELF kernel.",
      "Use a bzImage with boot protocol 2.06 or later, or an ELF vmlinux."),
  KERNEL_WRONG_ARCHITECTURE(
      Code.INVALID_ARGUMENT,
      "The kernel is built for another architecture than the microVM's.",
      "Set spec.architecture to the kernel's, or choose another kernel."),
  KERNEL_WITHOUT_AGENT(
      Code.INVALID_ARGUMENT,
      "The kernel's image does not come with Vireo's agent, which starts a container's process.",
      "Leave spec.boot.kernel empty, or name debian-12 or vireo-6.1; build those again: vireo image"
          + " build."),
  CONTAINER_IMAGE_NOT_FOUND(
      Code.INVALID_ARGUMENT,
      "The node does not have the container image, and its registry does not either.",
      "See what there is: vireo image list --nodes; bring it there with vireo image load."),
  CONTAINER_IMAGE_INVALID(
      Code.INVALID_ARGUMENT,
      "The container image is broken, names no program to run, or is for another architecture.",
      "The message says what; pull it again, or give spec.container.entrypoint."),
  CONTAINER_IMAGE_UNAVAILABLE(
      Code.UNAVAILABLE,
      "The node could not get the container image now.",
      "The message says why; retry, or bring the image with vireo image load.",
      Duration.ofSeconds(30)),
  NODE_IMAGE_NOT_FOUND(
      Code.NOT_FOUND,
      "The node has no container image of this name.",
      "See which it has: vireo image list --nodes."),
  NODE_DISK_FULL(
      Code.RESOURCE_EXHAUSTED,
      "The node's disk has no room for the container image.",
      "Remove others there: vireo image rm --node, or vireo image prune on the node."),
  ARCHIVE_STALLED(
      Code.DEADLINE_EXCEEDED,
      "The archive of a container image stopped coming before it was whole.",
      "Load it again; what the node has of it is removed."),
  INITRAMFS_NOT_FOUND(
      Code.INVALID_ARGUMENT,
      "The initramfs file does not exist on the node or cannot be read.",
      "Give the absolute path of a readable file on the node."),
  MEMORY_TOO_SMALL(
      Code.INVALID_ARGUMENT,
      "Kernel, initramfs and boot data do not fit into the guest's memory.",
      "Raise spec.memory_mib to what the message gives."),
  DISK_NOT_FOUND(
      Code.INVALID_ARGUMENT,
      "The disk's file or device does not exist on the node or cannot be opened.",
      "Give the absolute path of a raw file or block device that the worker may open."),
  DISK_INVALID(
      Code.INVALID_ARGUMENT,
      "The disk is not a raw file or block device whose size is a multiple of 512 bytes.",
      "Use a regular file or block device; round its size up with truncate -s %512."),
  NETWORK_NOT_FOUND(
      Code.INVALID_ARGUMENT,
      "The node has no interface of this name.",
      "Make it: ip tuntap add NAME mode tap; or leave the name out and the node makes one."),
  NETWORK_INVALID(
      Code.INVALID_ARGUMENT,
      "The interface is no tap interface, or was not made for several queues.",
      "Use a tap interface; for several queue pairs add multi_queue when making it."),
  NETWORK_BUSY(
      Code.FAILED_PRECONDITION,
      "The tap interface is in use, by another microVM or another process.",
      "Give each network an interface of its own."),
  NETWORK_UNAVAILABLE(
      Code.UNAVAILABLE,
      "The node cannot open a tap interface.",
      "Run vireo doctor on the node: it needs /dev/net/tun and the right to use it.",
      Duration.ofSeconds(60)),
  CGROUPS_UNAVAILABLE(
      Code.FAILED_PRECONDITION,
      "The spec has limits that take control groups, and the node has none that it may use.",
      "See vireo doctor on the node, place it elsewhere, or leave spec.limits out."),
  ROUTING_UNAVAILABLE(
      Code.UNAVAILABLE,
      "The node cannot give a microVM an address, route for it and filter.",
      "Run vireo doctor on the node: it needs nft, and root with its forwarding, or passt.",
      Duration.ofSeconds(60)),
  ADDRESSES_EXHAUSTED(
      Code.RESOURCE_EXHAUSTED,
      "All addresses of the node's pool are in use.",
      "Delete microVMs, or give the worker a larger pool: --network-pool."),
  NODE_PORT_TAKEN(
      Code.FAILED_PRECONDITION,
      "The port of the node is in use, by another microVM or another process.",
      "Publish at another port, or leave node_port out and the node chooses one."),
  COMMAND_LINE_TOO_LONG(
      Code.INVALID_ARGUMENT,
      "The kernel command line, with what Vireo adds, is longer than 2,047 bytes.",
      "Shorten spec.boot.command_line."),
  ANNOUNCEMENT_UNSUPPORTED(
      Code.INVALID_ARGUMENT,
      "This kernel or machine type does not support the announcement.",
      "Use AUTO."),
  SOCKET_PATH_TOO_LONG(
      Code.FAILED_PRECONDITION,
      "The path of a socket of the microVM on its node is longer than unix sockets allow.",
      "Start the node's worker with a shorter --state-dir."),
  NODE_RESOURCES_EXHAUSTED(
      Code.RESOURCE_EXHAUSTED,
      "The node cannot take the microVM now.",
      "Nothing to do: it is placed elsewhere, or stays pending until there is room."),
  QUOTA_EXCEEDED(
      Code.RESOURCE_EXHAUSTED,
      "The project would have more than its quota allows.",
      "Delete microVMs of the project (stopped ones count), or have its quota raised: vireo quota."),
  GUEST_NEEDS_HARDWARE_VIRTUALIZATION(
      Code.FAILED_PRECONDITION,
      "A Linux guest cannot boot on this node's KVM.",
      "Add a node that can: vireo node add --emulated."),
  KVM_UNAVAILABLE(
      Code.UNAVAILABLE,
      "The node's /dev/kvm is missing or refused.",
      "Run vireo doctor on the node.",
      Duration.ofSeconds(60)),
  VMM_UNRESPONSIVE(
      Code.UNAVAILABLE,
      "The microVM's VMM did not answer in time.",
      "Retry with back-off; a node that is short of CPU (vireo top) is slow to answer.",
      Duration.ofSeconds(2)),
  VMM_FAILED(
      Code.INTERNAL,
      "The VMM process could not be started or ended unexpectedly.",
      "The message names the cause; the worker's log has the VMM's own words."),
  INTERNAL(
      Code.INTERNAL,
      "A bug of Vireo's.",
      "Please report it with the message and the server's log.");

  /** {@code ErrorInfo.domain}. */
  public static final String DOMAIN = "vireo";

  /** The gRPC status codes in use here, by their canonical numbers. */
  public enum Code {
    INVALID_ARGUMENT(3),
    DEADLINE_EXCEEDED(4),
    NOT_FOUND(5),
    ALREADY_EXISTS(6),
    RESOURCE_EXHAUSTED(8),
    FAILED_PRECONDITION(9),
    ABORTED(10),
    OUT_OF_RANGE(11),
    INTERNAL(13),
    UNAVAILABLE(14);

    private final int number;

    Code(int number) {
      this.number = number;
    }

    /** The number on the wire ({@code google/rpc/code.proto}). */
    public int number() {
      return number;
    }
  }

  private final Code code;
  private final String cause;
  private final String remedy;
  private final @Nullable Duration retryAfter;

  ErrorReason(Code code, String cause, String remedy) {
    this(code, cause, remedy, null);
  }

  /** For UNAVAILABLE alone: the same call can succeed later. */
  ErrorReason(Code code, String cause, String remedy, @Nullable Duration retryAfter) {
    this.code = code;
    this.cause = cause;
    this.remedy = remedy;
    this.retryAfter = retryAfter;
  }

  /** The gRPC status that goes with this reason. */
  public Code code() {
    return code;
  }

  /** What is wrong, in one sentence. */
  public String cause() {
    return cause;
  }

  /** What to do about it, in one sentence. */
  public String remedy() {
    return remedy;
  }

  /**
   * How long to wait before the same call is worth a retry, {@code google.rpc.RetryInfo}; empty if
   * it never is. Always there for UNAVAILABLE.
   */
  public Optional<Duration> retryAfter() {
    return Optional.ofNullable(retryAfter);
  }

  private String codeWithRetry() {
    return retryAfter == null
        ? code.name()
        : code + ", retry after " + retryAfter.toSeconds() + " s";
  }

  /** The catalogue as a Markdown table, the whole of {@code proto/ERRORS.md} below its heading. */
  static String toMarkdown() {
    StringBuilder table =
        new StringBuilder("| reason | gRPC code | cause | remedy |\n|---|---|---|---|\n");
    for (ErrorReason reason : values()) {
      table.append(
          "| `%s` | %s | %s | %s |\n"
              .formatted(reason.name(), reason.codeWithRetry(), reason.cause, reason.remedy));
    }
    return table.toString();
  }
}
