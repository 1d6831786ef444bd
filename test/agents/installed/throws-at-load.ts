// Throws at load: a module that is no agent yet.
throw new Error("no such luck");
