package model

// Rights is a set of rights in a collection, or on the server itself.
type Rights uint8

// The rights (design: deny by falling through). Write lets a principal put
// objects; to replace another principal's object it needs Delete and Read
// too. Admin lets it change a collection's indexes and grants or, granted on
// the server, everything.
const (
	RightRead    Rights = 1 << 0 // every object of the collection
	RightReadOwn Rights = 1 << 1 // the objects that the principal put itself
	RightWrite   Rights = 1 << 2
	RightDelete  Rights = 1 << 3 // of what the principal may read
	RightAdmin   Rights = 1 << 4
	RightsAll    Rights = 1<<5 - 1
)
