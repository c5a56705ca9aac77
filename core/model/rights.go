package model

// Rights is a set of rights in a collection, or on the server itself.
type Rights uint8

// The rights. Write lets a principal put objects; replacing another principal's object
// needs Delete and Read as well. Admin lets it change a collection's indexes and grants.
// Admin on the server allows every change of the catalogue.
const (
	RightRead    Rights = 1 << 0 // every object of the collection
	RightReadOwn Rights = 1 << 1 // the objects that the principal put itself
	RightWrite   Rights = 1 << 2
	RightDelete  Rights = 1 << 3 // the objects that the principal may read
	RightAdmin   Rights = 1 << 4
	RightsAll    Rights = 1<<5 - 1
)
