package dev.vireo.catalog;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * Where a device's I/O really goes. The rows are the spectrum that Vireo is planned around; a row
 * is {@linkplain #available() available} once the VMM implements it.
 */
public enum BackEnd {
  BLK_FILE(
      DeviceModel.BLK, "file", Approach.EMULATED, true, "a raw file or block device of the node"),
  BLK_IO_URING(
      DeviceModel.BLK,
      "io-uring",
      Approach.EMULATED,
      true,
      "a raw file or block device of the node, many transfers at once"),
  BLK_VHOST_USER(
      DeviceModel.BLK, "vhost-user", Approach.VHOST_USER, false, "qemu-storage-daemon or SPDK"),
  BLK_NBD(DeviceModel.BLK, "nbd", Approach.REMOTE, false, "a network block device server"),
  NET_TAP(
      DeviceModel.NET,
      "tap",
      Approach.EMULATED,
      true,
      "a tap interface of the node",
      "/dev/net/tun"),
  /** As {@link #NET_TAP} to the VMM; the node has what it takes to connect it to others. */
  NET_ROUTED(
      DeviceModel.NET,
      "routed",
      Approach.EMULATED,
      true,
      "a tap interface with an address, routes and filters of the node",
      "/dev/net/tun"),
  NET_VHOST(
      DeviceModel.NET,
      "vhost",
      Approach.VHOST_KERNEL,
      false,
      "a tap interface, served by vhost-net"),
  NET_VHOST_USER(DeviceModel.NET, "vhost-user", Approach.VHOST_USER, false, "OVS-DPDK or passt"),
  VSOCK_UNIX(DeviceModel.VSOCK, "unix", Approach.EMULATED, true, "unix sockets of the node"),
  VSOCK_VHOST(
      DeviceModel.VSOCK, "vhost", Approach.VHOST_KERNEL, false, "the node's vsock, by vhost-vsock"),
  SCSI_VHOST(
      DeviceModel.SCSI, "vhost", Approach.VHOST_KERNEL, false, "a target of the node's kernel"),
  FS_VHOST_USER(
      DeviceModel.FS, "vhost-user", Approach.VHOST_USER, false, "a directory, by virtiofsd"),
  CONSOLE_UNIX(
      DeviceModel.CONSOLE, "unix", Approach.EMULATED, true, "unix sockets of the node, one a port"),
  RNG_HOST(DeviceModel.RNG, "host", Approach.EMULATED, true, "the host kernel's random numbers"),
  BALLOON_HOST(
      DeviceModel.BALLOON, "host", Approach.EMULATED, true, "guest memory given back to the host"),
  MEM_HOST(
      DeviceModel.MEM,
      "host",
      Approach.EMULATED,
      true,
      "memory of the host, plugged and unplugged"),
  /** The machine's own, not to be asked for: how an arm64 guest is asked to power off. */
  INPUT_POWER_BUTTON(
      DeviceModel.INPUT, "power-button", Approach.EMULATED, false, "a request to power off");

  private final DeviceModel model;
  private final String name;
  private final Approach approach;
  private final boolean available;
  private final String serves;
  private final Optional<String> opens;

  BackEnd(DeviceModel model, String kind, Approach approach, boolean available, String serves) {
    this(model, kind, approach, available, serves, Optional.empty());
  }

  BackEnd(
      DeviceModel model,
      String kind,
      Approach approach,
      boolean available,
      String serves,
      String opens) {
    this(model, kind, approach, available, serves, Optional.of(opens));
  }

  BackEnd(
      DeviceModel model,
      String kind,
      Approach approach,
      boolean available,
      String serves,
      Optional<String> opens) {
    this.model = model;
    this.name = model.label() + "/" + kind;
    this.approach = approach;
    this.available = available;
    this.serves = serves;
    this.opens = opens;
  }

  /** The one named {@code name}, available or not. */
  public static Optional<BackEnd> named(String name) {
    return Arrays.stream(values()).filter(b -> b.name.equals(name)).findFirst();
  }

  /** What this build can serve, on a host that lacks nothing. */
  public static List<BackEnd> allAvailable() {
    return Arrays.stream(values()).filter(BackEnd::available).toList();
  }

  /**
   * What a host can serve.
   *
   * @param opening tells whether a device file of the host can be opened
   */
  public static List<BackEnd> availableOn(Predicate<String> opening) {
    return allAvailable().stream().filter(b -> b.opens.stream().allMatch(opening)).toList();
  }

  public DeviceModel model() {
    return model;
  }

  /** Model and kind, as specs and nodes write it: {@code "blk/file"}. */
  public String qualifiedName() {
    return name;
  }

  public Approach approach() {
    return approach;
  }

  public boolean available() {
    return available;
  }

  /** What is behind it, for people. */
  public String serves() {
    return serves;
  }
}
