/*
 * Stands in for libgupnp-igd-1.0.so.4. Debian's whip-client links libsoup 2, libnice brings libsoup 3 by way of gupnp-igd, and a process with
 * both aborts at start. Port mappings by a router are of no use to a test, so each call does nothing.
 */
#include <glib-object.h>

GType gupnp_simple_igd_get_type(void) { return G_TYPE_OBJECT; }
GType gupnp_simple_igd_thread_get_type(void) { return G_TYPE_OBJECT; }
void *gupnp_simple_igd_thread_new(void) { return g_object_new(G_TYPE_OBJECT, NULL); }
void *gupnp_simple_igd_new(void) { return g_object_new(G_TYPE_OBJECT, NULL); }
void gupnp_simple_igd_add_port(void) {}
void gupnp_simple_igd_remove_port(void) {}
void gupnp_simple_igd_remove_port_local(void) {}
int gupnp_simple_igd_delete_all_mappings(void *igd) { (void)igd; return 0; }
