package dev.vireo.cli;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;

/**
 * Signals to this process, by {@code sun.misc.Signal}, which every JDK has and no other API offers.
 * By reflection, since javac warns of the class whatever one says, and warnings are errors here.
 */
final class Signals {
  private Signals() {}

  /**
   * Does this, in place of what would happen, when a signal comes: on a thread of its own.
   *
   * @param name without SIG
   * @return gives the signal back its old meaning
   */
  static Cleanup.Task handle(String name, Runnable action) {
    try {
      Class<?> type = Class.forName("sun.misc.Signal");
      Class<?> handlerType = Class.forName("sun.misc.SignalHandler");
      Object signal = type.getConstructor(String.class).newInstance(name);
      Object handler =
          Proxy.newProxyInstance(
              Signals.class.getClassLoader(),
              new Class<?>[] {handlerType},
              (_, method, _) -> {
                // An object's own methods are nobody's business here.
                if (method.getName().equals("handle")) {
                  action.run();
                }
                return null;
              });
      var handle = type.getMethod("handle", type, handlerType);
      Object before = handle.invoke(null, signal, handler);
      return () -> handle.invoke(null, signal, before);
    } catch (ClassNotFoundException | NoSuchMethodException | InvocationTargetException e) {
      return () -> {}; // A JDK without them, or started with -Xrs: the signal does what it did.
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }
}
