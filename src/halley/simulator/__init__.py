"""An upstream of our own: real HTTP, scripted faults, its own bill. It shares no reader and no arithmetic with the gateway it judges."""
