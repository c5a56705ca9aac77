// Command motte-task-sql is the Task of SQL: it keeps some values of JSON objects as the columns of a table of
// SQLite, in memory. It answers the expressions of a WHERE clause, and sorts by an ORDER BY clause, such as
//
//	age between 30 and 39 and (city = 'Lyon' or name like 'a%') order by age desc, name
//
// Configuration, in JSON: "columns" is an array of columns, each with "name", "path" (a JSON Pointer, RFC
// 6901), "type" and optionally "index". docs/reference/tasks/sql.md is the full text.
//
// Invariants:
//
//  1. The table has at most one row for each identity value: the last that was inserted.
//  2. SQLite never sees the text of a predicate, but a text that is made of its tokens. Each token is one that
//     the grammar has, and its parentheses match. An authorizer refuses whatever the made text should not contain.
//  3. Equal rows come in the order of their identities, which is also the order without ORDER BY. A row is found
//     whatever other rows are there: a predicate has no subqueries.
//  4. The work of a query is counted in instructions of SQLite's machine, never by a clock.
package main

import "motte/sdk"

func main() { sdk.Serve(&index{}) }
