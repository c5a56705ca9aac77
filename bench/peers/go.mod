// The comparison with PostgreSQL and Redis. It is no part of Motte: a module of its own keeps the clients of
// other stores, and YCSB, out of Motte's (docs/decisions/0037-peers-are-a-module-of-their-own.md).
module motte/bench/peers

go 1.26.0

toolchain go1.26.8

replace motte => ../..

require (
	github.com/jackc/pgx/v5 v5.13.0
	github.com/magiconair/properties v1.8.0
	github.com/pingcap/go-ycsb v1.0.3
	github.com/redis/go-redis/v9 v9.23.0
	motte v0.0.0
)

require (
	github.com/HdrHistogram/hdrhistogram-go v1.1.2 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/mattn/go-runewidth v0.0.9 // indirect
	github.com/olekukonko/tablewriter v0.0.5 // indirect
	github.com/pingcap/errors v0.11.5-0.20211224045212-9687c2b0f87c // indirect
	go.uber.org/atomic v1.12.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)
