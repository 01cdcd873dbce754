// Package redislease keeps leases in Redis.
package redislease
