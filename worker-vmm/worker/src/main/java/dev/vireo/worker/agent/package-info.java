/**
 * Clients' calls to guests' agents: each comes by a {@code Tunnel} from the controller, and is one
 * connection to the agent, over the vsock device of its microVM.
 *
 * <p>The classes named {@code Conversation} translate, and do nothing else; {@code AgentCall} moves
 * the messages, with two virtual threads that block, so that whoever does not read holds up the
 * other side. A guest is believed nothing: what an agent says out of turn, or too long, ends its
 * call and no more.
 *
 * <p>A container's process has one connection, that of its {@code ContainerSupervisor}. Clients
 * that attach to it ({@code AttachCall}) read its log, and leave what it is to read at its {@code
 * AttachPoint}.
 */
@NullMarked
package dev.vireo.worker.agent;

import org.jspecify.annotations.NullMarked;
