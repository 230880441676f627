package dev.vireo.vmm.backend;

import dev.vireo.linux.Libc;
import dev.vireo.linux.Linux;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.jspecify.annotations.Nullable;

/**
 * The real C library, with the calls made of it written down and, if a test wants, done otherwise.
 */
public final class FakeLibc {
  /** Does a call in place of the C library, or returns null to let it go on. */
  public interface Replacement {
    @Nullable Object call(String function, Object[] arguments);
  }

  private final List<String> calls = new CopyOnWriteArrayList<>();
  private final Libc libc;

  public FakeLibc(Replacement replacement) {
    this.libc =
        (Libc)
            Proxy.newProxyInstance(
                Libc.class.getClassLoader(),
                new Class<?>[] {Libc.class},
                (proxy, method, arguments) -> {
                  calls.add(method.getName());
                  Object replaced = replacement.call(method.getName(), arguments);
                  try {
                    return replaced != null ? replaced : method.invoke(Linux.libc(), arguments);
                  } catch (InvocationTargetException e) {
                    throw e.getCause();
                  }
                });
  }

  public Libc libc() {
    return libc;
  }

  /** Names of the functions called, in order. */
  public List<String> calls() {
    return calls;
  }
}
