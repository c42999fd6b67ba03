/**
 * Java client of Clientela, which keeps a shop's customers, groups and live carts. {@link dev.clientela.Clientela}
 * connects the stubs of the contract, which are in {@code dev.clientela.v1}. {@link dev.clientela.ClientelaException} is
 * a call that failed. A {@link dev.clientela.Watch} yields {@link dev.clientela.Event}s across outages. {@link
 * dev.clientela.Messages} has short ways to write messages.
 */
package dev.clientela;
