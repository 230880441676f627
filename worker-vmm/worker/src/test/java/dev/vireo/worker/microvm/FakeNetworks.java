package dev.vireo.worker.microvm;

import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.worker.boot.RejectedException;
import dev.vireo.worker.network.Networks;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Gives every microVM the same network, and notes what becomes of it. */
final class FakeNetworks implements Networks {
  static final NetworkStatus GIVEN =
      NetworkStatus.newBuilder()
          .setId("net0")
          .setAddress("10.213.0.2")
          .setGateway("10.213.0.1")
          .setMacAddress("02:00:00:00:00:01")
          .setTap("vn0ad50002")
          .build();

  final List<String> events = new ArrayList<>();
  @Nullable RejectedException refuseToAssign;
  @Nullable RejectedException refuseToConnect;

  @Override
  public Optional<NetworkStatus> assign(String uid, MicroVmSpec spec) throws RejectedException {
    if (Networks.indexOfRouted(spec) < 0) {
      return Optional.empty();
    }
    if (refuseToAssign != null) {
      throw refuseToAssign;
    }
    events.add("assign");
    return Optional.of(GIVEN);
  }

  @Override
  public void connect(String uid) throws RejectedException {
    if (refuseToConnect != null) {
      throw refuseToConnect;
    }
    events.add("connect");
  }

  @Override
  public void disconnect(String uid) {
    events.add("disconnect");
  }

  @Override
  public void release(String uid) {
    events.add("release");
  }

  @Override
  public void takeBack(String uid, MicroVmSpec spec, NetworkStatus given, boolean runs) {
    events.add("takeBack %s %s".formatted(given.getAddress(), runs));
  }

  @Override
  public void restore() {
    events.add("restore");
  }
}
