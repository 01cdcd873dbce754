// Package leasemeter counts what workers ask of a lease store: rows written, requests that read, and the units of DynamoDB that they cost by the rules in the documentation of
// package ddblease, section "Costs". So what leases cost can be said of every store, and of a simulated one.
//
//	var meter leasemeter.Meter
//	store := &leasemeter.Store{Store: ddblease.New(client, "leases", nil), Meter: &meter}
package leasemeter
