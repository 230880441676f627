package dev.vireo.vmm.virtio.vsock;

/** Connects to processes of the host for a guest. Any thread may call. */
public interface Dialer {
  /**
   * Asks for a connection to who serves {@code port}. The answer goes to {@link
   * VsockDevice#dialed}.
   *
   * @param key names the connection in the answer
   * @return false if there is nobody to ask: there will be no answer
   */
  boolean dial(int key, int port);
}
